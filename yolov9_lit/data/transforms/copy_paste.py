"""Simple copy-paste (arXiv 2012.07177), within one image, from polygons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from yolov9_lit.data.sample import Another, Sample
from yolov9_lit.kinds import Share

MOST_COVERED = 0.3


class CopyPaste:
    """Pastes mirrored copies of some objects where they hide little of the others.

    A copy lands at its object's mirror image about the image's vertical axis, and only if it
    covers less than 30 % of every box in the image. Objects without polygons are not copied.
    """

    closes = True

    def __init__(self, p: Share = 0.3) -> None:
        """Set the share of objects to try, 0..1."""
        self.p = p

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Add objects; the size stays."""
        copied = self.choose(sample, rng)
        if not len(copied):
            return sample
        result = with_copies(sample, copied)
        outlines = (result.polygons[len(sample.boxes) + i] for i in range(len(copied)))
        mask = filled(sample.image.shape[:2], (points for q in outlines for points in q))
        image = cv2.copyTo(cv2.flip(sample.image, 1), mask, sample.image.copy())
        return replace(result, image=image)

    def choose(self, sample: Sample, rng: np.random.Generator) -> np.ndarray:
        """Draw the indices of the objects to copy."""
        outlined = np.flatnonzero(sample.polygons.points_of_objects)
        tries = round(self.p * len(outlined))
        width = sample.image.shape[1]
        taken = np.concatenate((sample.boxes, np.zeros((tries, 4), dtype=np.float32)))
        areas = np.prod(taken[:, 2:] - taken[:, :2], axis=1)
        count, chosen = len(sample.boxes), []
        for i in rng.choice(outlined, tries, replace=False) if tries else ():
            box = _mirrored_boxes(sample.boxes[i], width)
            if (_overlap(box, taken[:count]) < MOST_COVERED * areas[:count]).all():
                taken[count], areas[count] = box, areas[i]
                chosen.append(i)
                count += 1
        return np.array(chosen, dtype=np.int64)


def with_copies(sample: Sample, rows: np.ndarray) -> Sample:
    """Append mirrored copies of the objects `rows`; the image stays."""
    width = sample.image.shape[1]
    copies = sample.take(rows)
    x, y = copies.polygons.points.T
    mirrored = replace(
        copies,
        boxes=_mirrored_boxes(copies.boxes, width),
        polygons=copies.polygons.at(np.stack((width - x, y), axis=1)),
        keypoints=copies.keypoints.flipped(0, width),
        extra=copies.extra.flipped(0),
    )
    return sample.with_objects_of([mirrored])


def filled(shape: tuple[int, ...], polygons: Iterable[np.ndarray]) -> np.ndarray:
    """Return a mask (h, w) uint8, 1 inside the polygons (P, 2)."""
    mask = np.zeros(shape, dtype=np.uint8)
    for points in polygons:
        cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    return mask


def _mirrored_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    left, top, right, bottom = boxes.T
    return np.array([width - right, top, width - left, bottom]).T


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the area that `box` (4,) shares with each of `boxes` (K, 4), (K,)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.prod(sides.clip(0), axis=1)
