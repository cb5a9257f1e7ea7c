"""The loss of pose estimation: the detection loss and, in each branch, two terms of keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.kinds import PositiveFloat
from yolov9_lit.losses.assigners import Assignment
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.losses.items import Items, PoseItems
from yolov9_lit.losses.keypoints import keypoint_loss
from yolov9_lit.structures import USUAL_SIGMA, HeadOutput, Targets


class PoseLoss(DetectionLoss):
    """Loss of any number of branches that find keypoints."""

    compares = ("keypoints",)

    sigmas: Tensor

    def __init__(
        self,
        *args: Any,
        sigmas: Sequence[PositiveFloat] | None = None,
        pose_gain: float = 12.0,
        vis_gain: float = 1.0,
        **settings: Annotated[Any, DetectionLoss],
    ) -> None:
        """Set the weights.

        Args:
            args: of `DetectionLoss`.
            sigmas: of each keypoint, see `KeypointLayout`; 0.05 of all by default. The data tell
                them to a training.
            pose_gain: weight of the term of the keypoints' places.
            vis_gain: weight of the term of their being visible.
            settings: of `DetectionLoss`.
        """
        super().__init__(*args, **settings)
        self.register_buffer("sigmas", torch.tensor(sigmas or [USUAL_SIGMA]), persistent=False)
        self.pose_gain = pose_gain
        self.vis_gain = vis_gain

    def _items(
        self, output: HeadOutput, boxes: Tensor, assignment: Assignment, targets: Targets
    ) -> Items:
        if output.keypoints is None or targets.keypoints is None:
            lacking = "the model finds" if output.keypoints is None else "the data have"
            raise UserError(f"The loss compares keypoints, but {lacking} none: give task=pose.")
        box, cls, dfl = super()._items(output, boxes, assignment, targets)
        pose, vis = keypoint_loss(output, assignment, targets.keypoints, self.sigmas)
        return PoseItems(box, self.pose_gain * pose, self.vis_gain * vis, cls, dfl)
