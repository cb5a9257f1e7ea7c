"""Which anchor with a size learns which object: simplified optimal transport.

SimOTA (YOLOX, arXiv 2107.08430, section 2.1) among the anchors that fit an object's shape and lie
by its centre, as YOLOv7 (arXiv 2207.02696, section 4.2) trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from yolov9_lit.kinds import Amount, Limits, PositiveFloat, PositiveInt
from yolov9_lit.losses.assigners import Assignment, background, in_parts
from yolov9_lit.losses.boxes import box_iou
from yolov9_lit.structures import HeadOutput, Targets

_LEAST_PROBABILITY = 1e-7  # It keeps the logarithm of a class score of 0 or 1 finite.
_LEAST_IOU = 1e-8


@runtime_checkable
class AnchorAssigner(Protocol):
    """Assigns objects to the anchors of a head whose anchors have sizes."""

    def assign(self, output: HeadOutput, boxes: Tensor, targets: Targets) -> Assignment:
        """Assign.

        Args:
            output: of the head.
            boxes: (B, A, 4) that it predicts, xyxy in input pixels.
            targets: the objects.
        """
        ...


class _ClassCosts(NamedTuple):
    """What it would cost each anchor to be of a class, from one probability p for each.

    Attributes:
        none: (B, A), of no class at all: the sum of -log(1 - p).
        change: (B, C, A), of that class instead: log(1 - p) - log(p).
    """

    none: Tensor
    change: Tensor


@dataclass(frozen=True)
class OTAAssigner:
    """Each object takes its cheapest candidates, as many as its best overlaps sum to.

    A candidate of an image is an anchor that is less than `ratio` times larger or smaller than one
    of its objects, in width and height, and lies in the cell of that object's centre, or beside it
    where the centre, moved by `reach` cells left, right, up or down, would be in it. The
    cost of an object and a candidate is the binary cross-entropy of the class probabilities, each
    the root of objectness times class score, plus `iou_gain` times -log(IoU). An anchor that
    several objects take goes to the one that it costs least.

    Attributes:
        topk: overlaps that are summed.
        reach: 0.5: the nearest three cells; 1: the coarse assignment of an auxiliary head, five.
        ratio: above 1.
        iou_gain: weight of the overlap in the cost.
        most_pairs: pairs of an object and an anchor that are looked at together, as in
            `TaskAlignedAssigner`; it bounds the memory and changes nothing in the result.
    """

    topk: PositiveInt = 10
    reach: PositiveFloat = 0.5
    ratio: Annotated[float, Limits(1, above=True)] = 4.0
    iou_gain: Amount = 3.0
    most_pairs: PositiveInt | None = None

    @torch.no_grad()
    def assign(self, output: HeadOutput, boxes: Tensor, targets: Targets) -> Assignment:
        """Assign; see `AnchorAssigner`."""
        if targets.boxes.shape[1] == 0:
            return background(boxes, output.class_logits.float())
        foreground, indices = self._owners(output, boxes, targets)
        labels = targets.labels.gather(1, indices).unsqueeze(-1)
        scores = torch.zeros_like(output.class_logits, dtype=torch.float32)
        scores.scatter_(-1, labels, foreground.unsqueeze(-1).float())
        target_boxes = targets.boxes.gather(1, indices.unsqueeze(-1).expand(-1, -1, 4))
        return Assignment(target_boxes, scores, foreground, indices)

    def _owners(self, output: HeadOutput, boxes: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """Return which anchors have an object, (B, A) bool, and its index, (B, A) int64."""
        wanting = boxes.new_zeros(boxes.shape[:2], dtype=torch.int64)
        candidates = torch.zeros_like(wanting, dtype=torch.bool)
        for _, part in in_parts(targets, wanting, self.most_pairs):
            candidates |= self._near(output, part).any(dim=1)
        of_class = _class_costs(output)
        wanted_by, cheapest = torch.zeros_like(wanting), torch.zeros_like(wanting)
        least = boxes.new_full(wanting.shape, torch.inf)
        for start, part in in_parts(targets, wanting, self.most_pairs):
            possible = candidates.unsqueeze(1) & part.valid.unsqueeze(-1)
            overlaps = box_iou(part.boxes.unsqueeze(2), boxes.unsqueeze(1)) * possible
            labels = part.labels.unsqueeze(-1).expand_as(overlaps)
            cost = of_class.none.unsqueeze(1) + of_class.change.gather(1, labels)
            cost = cost - self.iou_gain * (overlaps + _LEAST_IOU).log()
            cost = cost.masked_fill(~possible, torch.inf)
            wanted = self._cheapest(cost, overlaps)
            wanting += wanted.sum(dim=1)
            wanted_by = torch.where(
                wanted.any(dim=1), wanted.int().argmax(dim=1) + start, wanted_by
            )
            cost, index = cost.min(dim=1)
            cheapest = torch.where(cost < least, index + start, cheapest)
            least = torch.minimum(least, cost)
        return wanting > 0, torch.where(wanting > 1, cheapest, wanted_by)

    def _near(self, output: HeadOutput, targets: Targets) -> Tensor:
        """Return which anchors (B, G, A) bool are candidates by each object."""
        assert output.anchor_sizes is not None
        left_top, right_bottom = targets.boxes.unsqueeze(2).chunk(2, dim=-1)
        shape = (right_bottom - left_top) / output.anchor_sizes
        fits = torch.maximum(shape, 1 / shape).amax(dim=-1) < self.ratio
        # How far the object's centre is from that of the cell, in cells.
        centre = (left_top + right_bottom) / 2
        x, y = ((centre - output.anchor_points) / output.strides).unbind(-1)
        in_column, in_row = _in_cell(x), _in_cell(y)
        beside = in_row & (x.abs() < 0.5 + self.reach)
        above = in_column & (y.abs() < 0.5 + self.reach)
        return fits & (beside | above) & targets.valid.unsqueeze(-1)

    def _cheapest(self, cost: Tensor, overlaps: Tensor) -> Tensor:
        """(B, G, A) -> bool mask of the candidates that each object takes."""
        most = min(self.topk, cost.shape[-1])
        count = overlaps.topk(most, dim=-1).values.sum(dim=-1, keepdim=True).long().clamp(1, most)
        best = cost.topk(most, dim=-1, largest=False)
        taken = (torch.arange(most, device=cost.device) < count) & best.values.isfinite()
        return torch.zeros_like(cost, dtype=torch.bool).scatter_(-1, best.indices, taken)


def _in_cell(distance: Tensor) -> Tensor:
    """Whether what is so far, in cells, right of or below a cell's centre is in the cell."""
    return (distance >= -0.5) & (distance < 0.5)


def _class_costs(output: HeadOutput) -> _ClassCosts:
    assert output.objectness is not None
    objects = output.objectness.float().sigmoid().unsqueeze(-1)
    probabilities = (output.class_logits.float().sigmoid() * objects).sqrt()
    probabilities = probabilities.clamp(_LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    absent = (1 - probabilities).log()
    change = absent - probabilities.log()
    return _ClassCosts(-absent.sum(dim=-1), change.transpose(1, 2))
