"""Which anchor learns which object: task-aligned assignment (TOOD, arXiv 2108.07755)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

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


@dataclass(frozen=True)
class TaskAlignedAssigner:
    """Each object takes its `topk` best anchors by score^alpha * CIoU^beta among those inside it.

    An anchor wanted by several objects goes to the one it overlaps most. Scores are scaled so that
    an object's best anchor is asked for the object's best overlap.
    """

    topk: int = 10
    alpha: float = 0.5
    beta: float = 6.0
    eps: float = 1e-9

    @torch.no_grad()
    def __call__(
        self, boxes: Tensor, probabilities: Tensor, anchor_points: Tensor, targets: Targets
    ) -> Assignment:
        """Assign; see `Assigner`."""
        if targets.boxes.shape[1] == 0:
            return _background(boxes, probabilities)
        inside = _points_inside(anchor_points, targets.boxes)
        overlaps = complete_iou(targets.boxes.unsqueeze(2), boxes.unsqueeze(1)).clamp(min=0)
        class_scores = probabilities.transpose(1, 2).gather(
            1, targets.labels.unsqueeze(-1).expand(-1, -1, boxes.shape[1])
        )
        alignment = class_scores.pow(self.alpha) * overlaps.pow(self.beta)

        wanted = self._best_anchors(alignment * inside) & inside & targets.valid.unsqueeze(-1)
        owned = _resolve_conflicts(wanted, overlaps)
        foreground = owned.any(dim=1)
        indices = owned.int().argmax(dim=1)

        labels = targets.labels.gather(1, indices)
        alignment = alignment * owned
        best_alignment = alignment.amax(dim=-1, keepdim=True)
        best_overlap = (overlaps * owned).amax(dim=-1, keepdim=True)
        quality = (alignment * best_overlap / (best_alignment + self.eps)).amax(dim=1)
        scores = torch.zeros_like(probabilities)
        scores.scatter_(-1, labels.unsqueeze(-1), (quality * foreground).unsqueeze(-1))
        return Assignment(
            boxes=targets.boxes.gather(1, indices.unsqueeze(-1).expand(-1, -1, 4)),
            scores=scores,
            foreground=foreground,
            indices=indices,
        )

    def _best_anchors(self, alignment: Tensor) -> Tensor:
        """(B, G, A) -> bool mask of the topk anchors of each object."""
        best = alignment.topk(min(self.topk, alignment.shape[-1]), dim=-1).indices
        return torch.zeros_like(alignment, dtype=torch.bool).scatter_(-1, best, True)


def _background(boxes: Tensor, probabilities: Tensor) -> Assignment:
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


def _resolve_conflicts(wanted: Tensor, overlaps: Tensor) -> Tensor:
    """Give an anchor that several objects want to the object that it overlaps most.

    Args:
        wanted: (B, G, A) bool.
        overlaps: (B, G, A), over all objects of the image.

    Returns:
        (B, G, A) bool, at most one True along G.
    """
    contested = wanted.sum(dim=1, keepdim=True) > 1
    best = torch.zeros_like(wanted).scatter_(1, overlaps.argmax(dim=1, keepdim=True), True)
    return torch.where(contested, best, wanted)
