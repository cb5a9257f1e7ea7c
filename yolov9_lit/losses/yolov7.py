"""YOLOv7's loss: CIoU, objectness and class of the anchors that simplified OT assigns.

YOLOv7 (arXiv 2207.02696, section 4.2); terms and gains are those of its published code, which are
YOLOv5's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.errors import UserError
from yolov9_lit.losses.assigners import Assignment
from yolov9_lit.losses.boxes import complete_iou
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.losses.items import AnchorItems
from yolov9_lit.losses.ota import AnchorAssigner
from yolov9_lit.models.anchor_head import decode_anchors
from yolov9_lit.models.levels import STRIDES
from yolov9_lit.structures import HeadOutput, Targets

_CLASSES = 80
_AREA = 640**2
"""Classes and input pixels for which the gains are given."""


class YOLOv7Loss(DetectionLoss):
    """Loss of any number of branches that have anchors and objectness."""

    compares = ("objectness",)

    balance: Tensor
    strides: Tensor

    def __init__(
        self,
        assigner: AnchorAssigner,
        box_gain: float = 0.05,
        obj_gain: float = 0.7,
        cls_gain: float = 0.3,
        balance: Sequence[float] = (4.0, 1.0, 0.4),
        main_weight: float = 1.0,
        aux_weight: float | Sequence[float] | Mapping[str, float] = 0.25,
        lead_head_guided: bool | Sequence[str] = False,
        aux_assigner: Mapping[str, AnchorAssigner] | None = None,
        aux_names: Sequence[str] | None = None,
    ) -> None:
        """Set the weights.

        Args:
            assigner: target assignment of every branch.
            box_gain: weight of the CIoU term.
            obj_gain: weight of the objectness term in images of 640 x 640; it is scaled with their
                area.
            cls_gain: weight of the class term of 80 classes; it is scaled with their number.
            balance: weights of the levels 3, 4, 5 in the objectness term.
            main_weight: see `DetectionLoss`.
            aux_weight: see `DetectionLoss`.
            lead_head_guided: see `DetectionLoss`.
            aux_assigner: see `DetectionLoss`.
            aux_names: see `DetectionLoss`.

        Raises:
            ValueError: there are not three weights of levels, or as in `DetectionLoss`.
        """
        super().__init__(
            assigner,  # type: ignore[arg-type]  # Taken by `_assign` alone, which is another here.
            main_weight=main_weight,
            aux_weight=aux_weight,
            lead_head_guided=lead_head_guided,
            aux_assigner=aux_assigner,  # type: ignore[arg-type]  # Likewise.
            aux_names=aux_names,
        )
        if len(balance) != len(STRIDES):
            raise ValueError(f"balance must have {len(STRIDES)} weights, one for each level")
        self.box_gain, self.obj_gain, self.cls_gain = box_gain, obj_gain, cls_gain
        self.register_buffer("balance", torch.tensor(balance), persistent=False)
        self.register_buffer("strides", torch.tensor(STRIDES), persistent=False)

    def _require_assigner(self, assigner: Any) -> None:
        if not isinstance(assigner, AnchorAssigner):
            raise ValueError(
                f"assigner {type(assigner).__name__} is for cells: give one of anchors that have "
                "sizes, such as ota"
            )

    def require_compared(self, found: Collection[str]) -> None:
        """Refuse a model that finds what is not compared, or no objectness."""
        super().require_compared(found)
        if "objectness" not in found:
            raise UserError(
                "The loss compares objectness, but the model finds none: give model=yolov7, or "
                "loss=detection."
            )

    def _boxes(self, output: HeadOutput) -> Tensor:
        return decode_anchors(output)

    def _assign(
        self, assigner: Any, output: HeadOutput, boxes: Tensor, targets: Targets
    ) -> Assignment:
        return assigner.assign(output, boxes.detach(), targets)

    def _items(
        self, output: HeadOutput, boxes: Tensor, assignment: Assignment, targets: Targets
    ) -> AnchorItems:
        """One branch's terms; at each level means over the anchors that have an object.

        Sums run over all anchors, as in `DetectionLoss`.
        """
        assert output.objectness is not None
        images, _, classes = output.class_logits.shape
        foreground = assignment.foreground
        levels = (output.strides == self.strides).float()
        assigned = _by_level(foreground, levels).clamp(min=1)

        # Background anchors get a target that is finite; they count for nothing.
        target_boxes = torch.where(foreground.unsqueeze(-1), assignment.boxes, boxes.detach())
        overlaps = complete_iou(boxes / output.strides, target_boxes / output.strides)
        box = _by_level(torch.where(foreground, 1 - overlaps, 0), levels) / assigned

        objects = torch.where(foreground, overlaps.detach().clamp(min=0), 0)
        entropy = F.binary_cross_entropy_with_logits(
            output.objectness.float(), objects, reduction="none"
        )
        obj = _by_level(entropy, levels) / (images * levels.sum(dim=0)).clamp(min=1)

        entropy = F.binary_cross_entropy_with_logits(
            output.class_logits.float(), assignment.scores, reduction="none"
        ).mean(dim=-1)
        cls = _by_level(torch.where(foreground, entropy, 0), levels) / assigned
        # Of a single class objectness says it all.
        cls_gain = self.cls_gain * classes / _CLASSES if classes > 1 else 0.0
        area = (output.anchor_points.amax(dim=0) + STRIDES[0] / 2).prod()
        return AnchorItems(
            self.box_gain * box.sum(),
            self.obj_gain * (area / _AREA) * (obj * self.balance).sum(),
            cls_gain * cls.sum(),
        )


def _by_level(values: Tensor, levels: Tensor) -> Tensor:
    """Sum values (B, A) of anchors over each level, (3,), of which (A, 3) is 1 for its anchors.

    It is no matrix product, which mixed precision would round.
    """
    return (values.sum(dim=0).unsqueeze(-1) * levels).sum(dim=0)
