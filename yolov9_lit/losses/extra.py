"""The loss of a task of one's own: the detection loss and, in each branch, one of extra numbers."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

import torch
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.losses.assigners import Assignment
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.losses.items import ExtraItems, Items
from yolov9_lit.structures import HeadOutput, Targets


class ExtraLoss(DetectionLoss):
    """Loss of any number of branches that give extra numbers; a subclass compares them."""

    compares = ("extra",)

    def __init__(
        self, *args: Any, extra_gain: float = 1.0, **settings: Annotated[Any, DetectionLoss]
    ) -> None:
        """Set the weights.

        Args:
            args: of `DetectionLoss`.
            extra_gain: weight of the term of the extra numbers.
            settings: of `DetectionLoss`.
        """
        super().__init__(*args, **settings)
        self.extra_gain = extra_gain

    @abstractmethod
    def compare(self, raw: Tensor, true: Tensor) -> Tensor:
        """Say how far the numbers of anchors are from those of their objects.

        Args:
            raw: (B, A, E) float32, what the head gives, not decoded.
            true: (B, A, F) float32, as `data.extra` names and orders them; anything finite where
                an anchor has no object, which counts for nothing.

        Returns:
            (B, A), 0 where they agree.
        """

    def _items(
        self, output: HeadOutput, boxes: Tensor, assignment: Assignment, targets: Targets
    ) -> Items:
        if output.extra is None or targets.extra is None:
            lacking, remedy = ("the data have", "data.extra, the fields to read")
            if output.extra is None:
                lacking, remedy = ("the model gives", "a head that does in model.head._target_")
            raise UserError(f"The loss compares extra numbers, but {lacking} none: give {remedy}.")
        box, cls, dfl = super()._items(output, boxes, assignment, targets)
        apart = self.compare(output.extra.float(), assignment.of_objects(targets.extra))
        if apart.shape != assignment.foreground.shape:
            raise UserError(
                f"{type(self).__name__}.compare returns shape {tuple(apart.shape)}, it must be "
                f"(images, anchors), here {tuple(assignment.foreground.shape)}: sum or average "
                "what there is of an anchor."
            )
        weight = assignment.scores.sum(dim=-1)
        of_objects = torch.where(assignment.foreground, apart * weight, 0).sum()
        extra = self.extra_gain * of_objects / weight.sum().clamp(min=1)
        return ExtraItems(box, extra, cls, dfl)
