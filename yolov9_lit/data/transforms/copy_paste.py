"""Simple copy-paste (arXiv 2012.07177), within one picture, from polygons."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from yolov9_lit.data.sample import Sample

MOST_COVERED = 0.3


class CopyPaste:
    """Pastes mirrored copies of some objects where they hide little of the others.

    A copy lands at its object's mirror image about the picture's vertical axis, and only if it
    covers less than 30 % of every box that is there. Objects without polygons are not copied.
    """

    closes = True

    def __init__(self, p: float = 0.3) -> None:
        """Set the share of objects that are tried, 0..1."""
        self.p = p

    def __call__(
        self, sample: Sample, rng: np.random.Generator, another: Callable[[], Sample]
    ) -> Sample:
        """Same size, some more objects."""
        outlined = [i for i, polygons in enumerate(sample.polygons) if polygons]
        tries = round(self.p * len(outlined))
        if not tries:
            return sample
        height, width = sample.image.shape[:2]
        boxes, copied = sample.boxes, []
        mask = np.zeros((height, width), dtype=np.uint8)
        for i in rng.choice(outlined, tries, replace=False):
            box = _mirrored_box(sample.boxes[i], width)
            if (_covered(box, boxes) < MOST_COVERED).all():
                boxes = np.concatenate((boxes, box[None]))
                copied.append(i)
                for points in _mirrored(sample.polygons[i], width):
                    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
        if not copied:
            return sample
        visible = mask.astype(bool)
        image = sample.image.copy()
        image[visible] = sample.image[:, ::-1][visible]
        return Sample(
            image=image,
            boxes=boxes,
            labels=np.concatenate((sample.labels, sample.labels[copied])),
            polygons=sample.polygons + tuple(_mirrored(sample.polygons[i], width) for i in copied),
        )


def _mirrored_box(box: np.ndarray, width: int) -> np.ndarray:
    return np.array([width - box[2], box[1], width - box[0], box[3]], dtype=np.float32)


def _mirrored(polygons: tuple[np.ndarray, ...], width: int) -> tuple[np.ndarray, ...]:
    return tuple(np.stack((width - q[:, 0], q[:, 1]), axis=1) for q in polygons)


def _covered(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Share of each of `boxes` (K, 4) that `box` (4,) covers, (K,) in 0..1."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.clip(width, 0, None) * np.clip(height, 0, None) / np.maximum(area, 1e-9)
