"""The head of pose estimation: an object's keypoints beside its box and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from yolov9_lit.kinds import PositiveInt
from yolov9_lit.models.head import Head, branches, by_anchor
from yolov9_lit.structures import HeadOutput

COCO_KEYPOINTS = 17
"""Of a person, in COCO."""


class PoseHead(Head):
    """A head whose objects have keypoints, as in YOLO-Pose (arXiv 2204.06806, section 3)."""

    task: ClassVar[str] = "pose"
    finds: ClassVar[tuple[str, ...]] = ("keypoints",)

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        keypoints: PositiveInt | None = None,
        **settings: Annotated[Any, Head],
    ) -> None:
        """Build the branches.

        With c0 the channels of the finest level, the keypoints' branch is max(c0 / 4, 3 * K) wide.

        Args:
            channels: of the feature maps.
            num_classes: C >= 1.
            keypoints: K, of an object; COCO's 17 by default.
            settings: of `Head`.
        """
        super().__init__(channels, num_classes, **settings)
        self.num_keypoints = keypoints or COCO_KEYPOINTS
        numbers = 3 * self.num_keypoints
        self.keypoints = branches(channels, max(channels[0] // 4, numbers), numbers)

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Turn maps (B, channels, H / stride, W / stride) into raw outputs of all anchors."""
        raw = by_anchor(self.keypoints, features)
        return super().forward(features)._replace(keypoints=raw.unflatten(-1, (-1, 3)))


def decode_keypoints(raw: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Turn raw keypoints into places and how sure it is that each is visible.

    Args:
        raw: (..., A, K, 3) of A anchors: offsets in x and y in halves of a cell, from its corner
            on the left and top, and the logit of being visible.
        points: (A, 2), xy of the anchors' cell centres in input pixels.
        strides: (A, 1), input pixels per cell.

    Returns:
        (..., A, K, 3): x and y in input pixels, not clipped, and 0..1; float32.
    """
    raw, cell = raw.float(), strides.unsqueeze(-1)
    corner = points.unsqueeze(-2) - cell / 2
    return torch.cat((raw[..., :2] * 2 * cell + corner, raw[..., 2:].sigmoid()), dim=-1)
