"""The loss of instance segmentation: the detection loss and, in each branch, one of the masks."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.losses.assigners import Assignment
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.losses.items import Items, SegmentationItems
from yolov9_lit.losses.masks import mask_loss
from yolov9_lit.structures import HeadOutput, Targets


class SegmentationLoss(DetectionLoss):
    """Loss of any number of branches that find masks."""

    compares = ("coefficients",)

    def __init__(
        self, *args: Any, mask_gain: float = 2.5, **settings: Annotated[Any, DetectionLoss]
    ) -> None:
        """Set the weights.

        Args:
            args: of `DetectionLoss`.
            mask_gain: weight of the mask term.
            settings: of `DetectionLoss`.
        """
        super().__init__(*args, **settings)
        self.mask_gain = mask_gain

    def _items(
        self, output: HeadOutput, boxes: Tensor, assignment: Assignment, targets: Targets
    ) -> Items:
        if output.coefficients is None or targets.masks is None:
            lacking, remedy = "the data have", "data.masks=true"
            if output.coefficients is None:
                lacking, remedy = "the model finds", "task=segment"
            raise UserError(f"The loss compares masks, but {lacking} none: give {remedy}.")
        box, cls, dfl = super()._items(output, boxes, assignment, targets)
        objects = torch.where(assignment.foreground, assignment.indices + 1, 0)
        mask = mask_loss(output, assignment.boxes, objects, targets.masks)
        return SegmentationItems(box, self.mask_gain * mask / len(boxes), cls, dfl)
