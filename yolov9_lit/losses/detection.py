"""The detection loss: CIoU + DFL + BCE of the main branch and, weighted, of each auxiliary one.

YOLOv9 paper, section 4.1 and appendix A; the terms are those of TOOD (arXiv 2108.07755) and
Generalized Focal Loss (arXiv 2006.04388).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolov9_lit.errors import UserError
from yolov9_lit.losses.assigners import Assigner, Assignment
from yolov9_lit.losses.boxes import complete_iou
from yolov9_lit.losses.distillation import Distillation, DistillationItems
from yolov9_lit.losses.items import DetectionItems, Items
from yolov9_lit.models.head import decode_boxes
from yolov9_lit.structures import HeadOutput, Prediction, Targets


class DetectionLossOutput(NamedTuple):
    """What a training step needs.

    Attributes:
        total: scalar to minimise: `mean` times the batch size.
        mean: the weighted branches' sum.
        main: terms of the main branch.
        aux: terms of each auxiliary branch, unweighted.
        items: terms summed over the branches by their weights.
        distillation: terms of what the main branch learns from an auxiliary one; None where it
            learns from none.
    """

    total: Tensor
    mean: Tensor
    main: Items
    aux: tuple[Items, ...]
    items: Items
    distillation: DistillationItems | None

    @property
    def branch_totals(self) -> tuple[Tensor, ...]:
        """All terms of each branch in one, unweighted, the main branch's first."""
        main = self.main.total
        if self.distillation is not None:
            main = main + self.distillation.total
        return (main, *(items.total for items in self.aux))


_BEYOND_BOXES = {
    "coefficients": ("masks", "loss=segmentation, or task=detect"),
    "keypoints": ("keypoints", "loss=pose, or task=detect"),
    "extra": ("extra numbers", "a subclass of ExtraLoss in loss._target_, or another head"),
    "objectness": ("objectness", "loss=yolov7"),
}
"""Fields of a head's output that a loss can compare, what they are and how to get such a loss."""


class DetectionLoss(nn.Module):
    """Loss of any number of branches.

    Attributes:
        compares: fields of a head's output, beside boxes and classes, that a subclass compares.
    """

    compares: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        assigner: Assigner,
        box_gain: float = 7.5,
        cls_gain: float = 0.5,
        dfl_gain: float = 1.5,
        main_weight: float = 1.0,
        aux_weight: float | Sequence[float] | Mapping[str, float] = 0.25,
        lead_head_guided: bool | Sequence[str] = False,
        aux_assigner: Mapping[str, Assigner] | None = None,
        aux_names: Sequence[str] | None = None,
        guide: str | None = None,
        distillation: Distillation | None = None,
    ) -> None:
        """Set the weights.

        Args:
            assigner: target assignment of every branch.
            box_gain: weight of the CIoU term.
            cls_gain: weight of the BCE term.
            dfl_gain: weight of the DFL term.
            main_weight: weight of the main branch.
            aux_weight: weight of the auxiliary branches: one for all, or one for each in their
                order or by name.
            lead_head_guided: assign the auxiliary branches' targets by the main branch's
                predictions (YOLOv7, arXiv 2207.02696, section 4.2) instead of by their own: those
                of all that have no assigner of their own, or those of the branches named.
            aux_assigner: by name, an assigner of its own for a branch. Of the main branch's
                predictions it is given those only where `lead_head_guided` names the branch.
            aux_names: the auxiliary branches in their order; needed where one is named.
            guide: name of the auxiliary branch whose predictions assign the main branch's targets
                as well as its own (NanoDet-Plus's assign guidance); the main branch's own
                predictions do where it is not computed.
            distillation: what the main branch learns from an auxiliary one; where that is not
                computed, nothing.

        Raises:
            ValueError: a branch that is named is not there, one of those there has no weight,
                there are more or fewer weights than branches, main branch and auxiliary ones
                are to guide each other, or an assigner is for another loss.
        """
        super().__init__()
        names = aux_names or ()
        self.assigner = assigner
        self.gains = DetectionItems(*(torch.tensor(g) for g in (box_gain, cls_gain, dfl_gain)))
        self.main_weight = main_weight
        self.aux_weight: float | Sequence[float] = (
            _in_order(aux_weight, names) if isinstance(aux_weight, Mapping) else aux_weight
        )
        if aux_names is not None:
            self.aux_weights(len(aux_names))  # a list of another length is refused at once
        self.aux_active = True  # whether the auxiliary branches count, and are to be computed
        self._aux_factor = torch.tensor(1.0)  # a tensor: compiled graphs need not know its value
        self.lead_head_guided = lead_head_guided
        if not isinstance(lead_head_guided, bool):
            _check_names("lead_head_guided", lead_head_guided, names)
        self.guide = guide
        if guide is not None:
            _check_names("guide", [guide], names)
            if lead_head_guided:
                raise ValueError(f"lead_head_guided and guide={guide} contradict: give one of them")
        self.distillation = distillation
        if distillation is not None:
            _check_names("distillation.teacher", [distillation.teacher], names)
        self.aux_names = tuple(names)
        own = aux_assigner or {}
        _check_names("aux_assigner", own, names)
        for one in (assigner, *own.values()):
            self._require_assigner(one)
        self.aux_assigners = {self.aux_names.index(name): one for name, one in own.items()}

    def forward(self, prediction: Prediction, targets: Targets) -> DetectionLossOutput:
        """Compute the loss.

        Args:
            prediction: raw outputs of every branch, or of the main one alone.
            targets: ground truth in input pixels.

        Raises:
            ValueError: `aux_weight` is a sequence of another length than the auxiliary branches.
            UserError: the model finds something that is not compared, and would not be learnt.
        """
        found = [field for field, value in prediction.main._asdict().items() if value is not None]
        self.require_compared(found)
        outputs = (prediction.main, *prediction.aux)
        boxes = [self._boxes(output) for output in outputs]
        assignments = self._assignments(outputs, boxes, targets)
        main, *aux = (
            self._items(*branch, targets)
            for branch in zip(outputs, boxes, assignments, strict=True)
        )
        weights = self.weights(len(aux))
        items = type(main)(
            *(
                sum((w * term for w, term in zip(weights, terms, strict=True)), start=terms[0] * 0)
                for terms in zip(main, *aux, strict=True)
            )
        )
        distilled = self._distilled(prediction, assignments[0])
        mean = items.total
        if distilled is not None:
            mean = mean + self.main_weight * distilled.total
        total = mean * boxes[0].shape[0]
        return DetectionLossOutput(total, mean, main, tuple(aux), items, distilled)

    def weigh_auxiliary(self, factor: float) -> None:
        """Multiply the auxiliary branches' weights by a factor >= 0 from now on; 0: all off."""
        self._aux_factor.fill_(factor)
        self.aux_active = factor > 0

    def weights(self, count: int) -> tuple[float | Tensor, ...]:
        """Weights at present of the main branch and of `count` auxiliary ones.

        Raises:
            ValueError: there are weights for more branches, or for fewer.
        """
        aux = self.aux_weights(count) if count else ()
        return (self.main_weight, *(weight * self._aux_factor for weight in aux))

    def is_guided(self, index: int) -> bool:
        """Whether the main branch's predictions assign the targets of this auxiliary branch."""
        if isinstance(self.lead_head_guided, bool):
            return self.lead_head_guided and index not in self.aux_assigners
        return self.aux_names[index] in self.lead_head_guided

    def aux_weights(self, count: int) -> tuple[float, ...]:
        """Weights of `count` auxiliary branches, as they are given.

        Raises:
            ValueError: there are more or fewer.
        """
        if not isinstance(self.aux_weight, Sequence):
            return (self.aux_weight,) * count
        if len(self.aux_weight) != count:
            raise ValueError(
                f"aux_weight has {len(self.aux_weight)} values for {count} auxiliary branches"
            )
        return tuple(self.aux_weight)

    def _assignments(
        self, outputs: Sequence[HeadOutput], boxes: Sequence[Tensor], targets: Targets
    ) -> list[Assignment]:
        """Assign the targets of each branch, the main one first."""

        def by(branch: int) -> Assignment:
            assigner = self.aux_assigners.get(branch - 1, self.assigner)
            source = 0 if branch and self.is_guided(branch - 1) else branch
            return self._assign(assigner, outputs[source], boxes[source], targets)

        teaching = self._index(self.guide, len(outputs) - 1)
        aux = range(1, len(outputs))
        if teaching is None:
            lead = by(0)
            same = (self.is_guided(i - 1) and i - 1 not in self.aux_assigners for i in aux)
            return [lead, *(lead if s else by(i) for i, s in zip(aux, same, strict=True))]
        own = [by(i) for i in aux]
        return [own[teaching], *own]

    def _distilled(
        self, prediction: Prediction, assignment: Assignment
    ) -> DistillationItems | None:
        if self.distillation is None:
            return None
        teacher = self._index(self.distillation.teacher, len(prediction.aux))
        if teacher is None:
            return None
        return self.distillation(prediction.main, prediction.aux[teacher], assignment)

    def _index(self, name: str | None, computed: int) -> int | None:
        """Place of an auxiliary branch among those `computed`; None where it does not count."""
        if name is None or not (computed and self.aux_active):
            return None
        return self.aux_names.index(name)

    def _require_assigner(self, assigner: Any) -> None:
        if not callable(assigner):
            raise ValueError(
                f"assigner {type(assigner).__name__} is for anchors that have sizes: give one of "
                "cells, such as task_aligned"
            )

    def require_compared(self, found: Collection[str]) -> None:
        """Refuse a model that finds what would not be learnt.

        Args:
            found: fields of its head's output beside boxes and classes, as `BaseHead.finds`.

        Raises:
            UserError: one of them is not compared.
        """
        for field, (what, remedy) in _BEYOND_BOXES.items():
            if field in found and field not in self.compares:
                raise UserError(
                    f"The model finds {what}, but the loss compares none: give {remedy}."
                )

    def _boxes(self, output: HeadOutput) -> Tensor:
        """Return the predicted boxes (B, A, 4), xyxy in input pixels."""
        return decode_boxes(output)

    def _assign(
        self, assigner: Any, output: HeadOutput, boxes: Tensor, targets: Targets
    ) -> Assignment:
        """Assign objects to the anchors of a branch by its predictions."""
        probabilities = output.class_logits.detach().float().sigmoid()
        return assigner(boxes.detach(), probabilities, output.anchor_points, targets)

    def _items(
        self, output: HeadOutput, boxes: Tensor, assignment: Assignment, targets: Targets
    ) -> Items:
        """One branch's terms; a task with more of them adds its own.

        Sums run over all anchors: background weighs nothing, and selecting the foreground would
        make the device wait for the host.
        """
        norm = assignment.scores.sum().clamp(min=1)
        weight = assignment.scores.sum(dim=-1)
        foreground = assignment.foreground.unsqueeze(-1)
        # Background anchors get a target that is finite in every term; their weight is zero.
        target_boxes = torch.where(foreground, assignment.boxes, boxes.detach())

        cls = F.binary_cross_entropy_with_logits(
            output.class_logits.float(), assignment.scores, reduction="sum"
        )
        cells = complete_iou(boxes / output.strides, target_boxes / output.strides)
        box = ((1 - cells) * weight).sum()
        dfl = (_distribution_focal_loss(output, target_boxes) * weight).sum()
        terms = DetectionItems(box, cls, dfl)
        return DetectionItems(*(g * term / norm for g, term in zip(self.gains, terms, strict=True)))


def _in_order(weights: Mapping[str, float], names: Sequence[str]) -> list[float]:
    _check_names("aux_weight", weights, names)
    if missing := [name for name in names if name not in weights]:
        raise ValueError(f"aux_weight has no weight for {', '.join(missing)}")
    return [weights[name] for name in names]


def _check_names(argument: str, given: Collection[str], names: Sequence[str]) -> None:
    if unknown := [name for name in given if name not in names]:
        raise ValueError(
            f"{argument} names {', '.join(unknown)}, "
            f"but the auxiliary branches are: {', '.join(names) or 'none'}"
        )


def _distribution_focal_loss(output: HeadOutput, target_boxes: Tensor) -> Tensor:
    """Cross-entropy to the two bins around each side's distance, weighted by closeness.

    Args:
        output: box_logits (B, A, 4 * bins).
        target_boxes: (B, A, 4) xyxy in input pixels.

    Returns:
        (B, A), mean over the four sides.
    """
    logits = output.box_logits.float().unflatten(-1, (4, -1))
    left_top, right_bottom = target_boxes.chunk(2, dim=-1)
    points, strides = output.anchor_points, output.strides
    distances = torch.cat((points - left_top, right_bottom - points), dim=-1) / strides
    # Where the predictions are not finite the loss is not either: it need not be an error as well.
    distances = distances.nan_to_num().clamp(0, logits.shape[-1] - 1 - 0.01)
    lower = distances.long()
    upper_share = distances - lower
    log_p = logits.log_softmax(dim=-1)
    lower_term = log_p.gather(-1, lower.unsqueeze(-1)).squeeze(-1)
    upper_term = log_p.gather(-1, lower.unsqueeze(-1) + 1).squeeze(-1)
    return -(lower_term * (1 - upper_share) + upper_term * upper_share).mean(dim=-1)
