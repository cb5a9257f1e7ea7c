"""How what several views of an image have found becomes the detections of that image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from yolov9_lit.checks import check_fields
from yolov9_lit.kinds import Share
from yolov9_lit.structures import Detections


class Gathered(NamedTuple):
    """What all views of one image have found in it, N boxes in its pixels by falling score.

    Attributes:
        boxes: (N, 4), xyxy.
        scores: (N,), 0..1.
        labels: (N,) int64.
        cut: (N,) bool, whether a border of its view may cut the object off.
        views: number of views.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    cut: Tensor
    views: int


class Merge(Protocol):
    """Makes one detection of those that are of one object."""

    def __call__(self, found: Gathered, most: int) -> Detections:
        """Return at most `most` detections by falling score."""
        ...


@dataclass(frozen=True)
class Suppression:
    """Non-maximum suppression class by class: of one object the best box stays as it is.

    Attributes:
        iou: a box is suppressed by a better one of its class beyond this overlap.
    """

    iou: Share = 0.5

    def __post_init__(self) -> None:
        """Check the range."""
        check_fields(self, "merge.")

    def __call__(self, found: Gathered, most: int) -> Detections:
        """Return the best box of each object."""
        boxes, scores, labels = found[:3]
        kept = batched_nms(boxes, scores, labels, self.iou).sort().values[:most]
        return Detections(boxes[kept], scores[kept], labels[kept])


@dataclass(frozen=True)
class Merging:
    """Non-maximum merging: suppression that also puts together what borders of tiles cut apart.

    The best box takes in those of its class that are of the same object; SAHI's greedy merging
    (arXiv 2202.06934) compares all alike. Two found whole are of one object where they overlap
    enough. A cut one is part of a whole one that holds enough of it, and takes that one's box. Two
    cut ones are where they share enough of the smaller; then the box grows to both.

    Attributes:
        iou: overlap of two whole boxes beyond which they are one object.
        ios: share of a cut box, of the smaller of two, beyond which it and another are.
    """

    iou: Share = 0.5
    ios: Share = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self, "merge.")

    def __call__(self, found: Gathered, most: int) -> Detections:
        """Return the best box of each object, grown where it was cut."""
        boxes, labels, cut = (tensor.cpu().numpy() for tensor in (found[0], *found[2:4]))
        left = np.ones(len(boxes), dtype=bool)
        kept: list[int] = []
        merged: list[np.ndarray] = []
        for best in range(len(boxes)):
            if len(kept) == most:
                break
            if left[best]:
                rows = np.flatnonzero(left & (labels == labels[best]))
                box, taken = self._merged(boxes[best], cut[best], boxes[rows], cut[rows])
                left[rows[taken]] = left[best] = False
                kept.append(best)
                merged.append(box)
        grown = np.array(merged, dtype=boxes.dtype).reshape(-1, 4)
        return Detections(
            torch.from_numpy(grown).to(found.boxes), found.scores[kept], found.labels[kept]
        )

    def _merged(
        self, box: np.ndarray, is_cut: np.bool_, others: np.ndarray, cut: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the box (4,) with what it takes in, and which of the others (N,) that are."""
        taken = np.zeros(len(others), dtype=bool)
        while True:
            iou, of_box, of_others = _overlaps(box, others)
            whole_share = of_box if is_cut else np.zeros_like(of_box)
            cut_share = np.maximum(whole_share, of_others)
            taken |= (iou > self.iou) | (np.where(cut, cut_share, whole_share) > self.ios)
            if not is_cut:
                return box, taken
            if (whole := taken & ~cut).any():
                box, is_cut = others[whole.argmax()], np.False_
                continue
            some = np.concatenate((others[taken], box[None]))
            grown = np.concatenate((some[:, :2].min(axis=0), some[:, 2:].max(axis=0)))
            if (grown == box).all():
                return box, taken
            box = grown


@dataclass(frozen=True)
class WeightedBoxesFusion:
    """Boxes of one object averaged, weighted by their scores (arXiv 1910.13302, section 3).

    By falling score each box joins the fused box of its class that it overlaps most, or begins
    another. The score is the mean of those that are fused, times the share of the views that have
    found the object. All views must show all of the image.

    Attributes:
        iou: overlap with a fused box beyond which a box joins it.
    """

    iou: Share = 0.55

    def __post_init__(self) -> None:
        """Check the range."""
        check_fields(self, "merge.")

    def __call__(self, found: Gathered, most: int) -> Detections:
        """Return the average box of each object."""
        labels = found.labels.cpu()
        boxes, scores = (tensor.double().cpu().numpy() for tensor in found[:2])
        fused = np.zeros_like(boxes)
        classes = np.full(len(boxes), -1)
        sums = np.zeros(len(boxes))
        counts = np.zeros(len(boxes), dtype=int)
        begun = 0
        for box, score, label in zip(boxes, scores, labels.numpy(), strict=True):
            overlaps = _overlaps(box, fused[:begun])[0] * (classes[:begun] == label)
            into = int(overlaps.argmax()) if (overlaps > self.iou).any() else begun
            begun += into == begun
            classes[into] = label
            counts[into] += 1
            sums[into] += score
            fused[into] += (box - fused[into]) * (score / sums[into])
        means = sums[:begun] / np.maximum(counts[:begun], 1)
        fused_scores = means * np.minimum(counts[:begun], found.views) / found.views
        order = np.argsort(-fused_scores, kind="stable")[:most]
        return Detections(
            torch.from_numpy(fused[order]).to(found.boxes),
            torch.from_numpy(fused_scores[order]).to(found.scores),
            torch.from_numpy(classes[order]).to(found.labels),
        )


def _overlaps(box: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare a box (4,) with others (N, 4).

    Returns:
        (N,) each: the intersections over the union, over the box, and over the others.
    """
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    tiny = np.finfo(np.float32).tiny  # Of empty boxes.
    union = np.maximum(area + areas - shared, tiny)
    return shared / union, shared / np.maximum(area, tiny), shared / np.maximum(areas, tiny)
