"""Which anchor learns which object: task-aligned assignment (TOOD, arXiv 2108.07755)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.kinds import PositiveInt
from yolov9_lit.losses.boxes import complete_iou
from yolov9_lit.structures import Targets


class Assignment(NamedTuple):
    """What each anchor is to predict.

    Attributes:
        boxes: (B, A, 4) xyxy in input pixels; meaningless where not foreground.
        scores: (B, A, C) in 0..1, the soft class target; zero where not foreground.
        foreground: (B, A) bool.
        indices: (B, A) int64, the object's place in the padded targets; 0 where not foreground.
    """

    boxes: Tensor
    scores: Tensor
    foreground: Tensor
    indices: Tensor

    def of_objects(self, values: Tensor) -> Tensor:
        """Return what the object of each anchor has; meaningless where not foreground.

        Args:
            values: (B, G, ...) of the padded targets.

        Returns:
            (B, A, ...).
        """
        rest = (1,) * (values.ndim - 2)
        some = F.pad(values, (0, 0) * len(rest) + (0, 1))  # In case there is no object at all.
        index = self.indices.view(*self.indices.shape, *rest)
        return some.gather(1, index.expand(-1, -1, *values.shape[2:]))


class Assigner(Protocol):
    """Assigns objects to anchors from what a head predicts."""

    def __call__(
        self, boxes: Tensor, probabilities: Tensor, anchor_points: Tensor, targets: Targets
    ) -> Assignment:
        """Assign.

        Args:
            boxes: (B, A, 4) predicted xyxy in input pixels.
            probabilities: (B, A, C) predicted, in 0..1.
            anchor_points: (A, 2) xy in input pixels.
            targets: the objects.
        """
        ...


MOST_PAIRS = 2**23
"""Pairs of an object and an anchor that are looked at together, where nothing else is set."""

MOST_PAIRS_ON_CPU = 2**20
"""The same on a CPU, in whose caches more do not stay."""


@dataclass(frozen=True)
class TaskAlignedAssigner:
    """Each object takes its `topk` best anchors by score^alpha * CIoU^beta among those inside it.

    An anchor wanted by several objects goes to the one it overlaps most. Scores are scaled so that
    an object's best anchor is asked for the object's best overlap.

    Attributes:
        topk: anchors that an object wants.
        alpha: exponent of the class score.
        beta: exponent of the overlap.
        eps: keeps the scaling from dividing by zero.
        most_pairs: pairs of an object and an anchor, over the batch, that are looked at together: a
            crowd is looked at in parts, at least one object of each image at a time. It bounds the
            memory and changes nothing in the result. None: 2^23, on a CPU 2^20.
    """

    topk: int = 10
    alpha: float = 0.5
    beta: float = 6.0
    eps: float = 1e-9
    most_pairs: PositiveInt | None = None

    @torch.no_grad()
    def __call__(
        self, boxes: Tensor, probabilities: Tensor, anchor_points: Tensor, targets: Targets
    ) -> Assignment:
        """Assign; see `Assigner`."""
        count = targets.boxes.shape[1]
        if count == 0:
            return background(boxes, probabilities)
        foreground, indices = self._owners(boxes, probabilities, anchor_points, targets)
        labels = targets.labels.gather(1, indices).unsqueeze(-1)
        target_boxes = targets.boxes.gather(1, indices.unsqueeze(-1).expand(-1, -1, 4))

        overlaps = complete_iou(target_boxes, boxes).clamp(min=0) * foreground
        class_scores = probabilities.gather(-1, labels).squeeze(-1)
        alignment = self._alignment(class_scores, overlaps) * foreground
        best_alignment = _best_of_object(alignment, indices, count)
        best_overlap = _best_of_object(overlaps, indices, count)
        quality = alignment * best_overlap / (best_alignment + self.eps)
        scores = torch.zeros_like(probabilities).scatter_(-1, labels, quality.unsqueeze(-1))
        return Assignment(target_boxes, scores, foreground, indices)

    def _owners(
        self, boxes: Tensor, probabilities: Tensor, anchor_points: Tensor, targets: Targets
    ) -> tuple[Tensor, Tensor]:
        """Return which anchors have an object, (B, A) bool, and its index, (B, A) int64.

        Some objects at a time: all pairs of a crowd with all anchors would be gigabytes.
        """
        shape = boxes.shape[:2]
        wanting = boxes.new_zeros(shape, dtype=torch.int64)  # how many objects want an anchor
        wanted_by, overlapped = torch.zeros_like(wanting), torch.zeros_like(wanting)
        most = boxes.new_full(shape, -1)
        for start, part in in_parts(targets, wanting, self.most_pairs):
            inside = _points_inside(anchor_points, part.boxes)
            overlaps = complete_iou(part.boxes.unsqueeze(2), boxes.unsqueeze(1)).clamp(min=0)
            class_scores = probabilities.transpose(1, 2).gather(
                1, part.labels.unsqueeze(-1).expand_as(overlaps)
            )
            candidates = self._best_anchors(self._alignment(class_scores, overlaps) * inside)
            wanted = candidates & inside & part.valid.unsqueeze(-1)
            wanting += wanted.sum(dim=1)
            wanted_by = torch.where(
                wanted.any(dim=1), wanted.int().argmax(dim=1) + start, wanted_by
            )
            overlap, index = overlaps.max(dim=1)
            overlapped = torch.where(overlap > most, index + start, overlapped)
            most = torch.maximum(most, overlap)
        # An anchor that several objects want goes to the one that it overlaps most.
        return wanting > 0, torch.where(wanting > 1, overlapped, wanted_by)

    def _alignment(self, class_scores: Tensor, overlaps: Tensor) -> Tensor:
        return class_scores.pow(self.alpha) * overlaps.pow(self.beta)

    def _best_anchors(self, alignment: Tensor) -> Tensor:
        """(B, G, A) -> bool mask of the topk anchors of each object."""
        best = alignment.topk(min(self.topk, alignment.shape[-1]), dim=-1).indices
        return torch.zeros_like(alignment, dtype=torch.bool).scatter_(-1, best, True)


def in_parts(
    targets: Targets, anchors: Tensor, most_pairs: int | None
) -> list[tuple[int, Targets]]:
    """Return a batch's objects some at a time, each part with its first object's index.

    Args:
        targets: the objects.
        anchors: (B, A), anything.
        most_pairs: see `TaskAlignedAssigner`.
    """
    usual = MOST_PAIRS_ON_CPU if anchors.device.type == "cpu" else MOST_PAIRS
    together = max((most_pairs or usual) // anchors.numel(), 1)
    return [
        (start, Targets(*(t[:, start : start + together] for t in targets[:3])))
        for start in range(0, targets.boxes.shape[1], together)
    ]


def background(boxes: Tensor, probabilities: Tensor) -> Assignment:
    """Return the assignment of anchors of which none has an object."""
    shape = boxes.shape[:2]
    return Assignment(
        boxes=torch.zeros_like(boxes),
        scores=torch.zeros_like(probabilities),
        foreground=boxes.new_zeros(shape, dtype=torch.bool),
        indices=boxes.new_zeros(shape, dtype=torch.int64),
    )


def _points_inside(points: Tensor, boxes: Tensor, margin: float = 1e-9) -> Tensor:
    """Map (A, 2) points, (B, G, 4) boxes to (B, G, A) bool, True strictly inside."""
    left_top, right_bottom = boxes.unsqueeze(2).chunk(2, dim=-1)
    distances = torch.cat((points - left_top, right_bottom - points), dim=-1)
    return distances.amin(dim=-1) > margin


def _best_of_object(values: Tensor, indices: Tensor, count: int) -> Tensor:
    """Return for each anchor the largest of the values (B, A) >= 0 that its object has, (B, A).

    Args:
        values: of the anchors.
        indices: (B, A), the anchors' objects.
        count: of objects.
    """
    best = values.new_zeros(values.shape[0], count)
    return best.scatter_reduce_(1, indices, values, "amax").gather(1, indices)
