"""Coupled head with anchors of given sizes and objectness, as YOLOv7 has it.

Decoding is that of YOLOv7 (arXiv 2207.02696), which takes it from Scaled-YOLOv4 (arXiv 2011.08036,
section 4.2); implicit knowledge before and after the last convolution is YOLOR's (arXiv 2105.04206,
section 4.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from yolov9_lit.kinds import PositiveFloat
from yolov9_lit.models.head import BaseHead, anchor_points, by_anchor
from yolov9_lit.models.levels import STRIDES
from yolov9_lit.structures import HeadOutput

Anchors: TypeAlias = Sequence[Sequence[Sequence[PositiveFloat]]]
"""(width, height) in input pixels of a cell's anchors, for each of the levels 3, 4, 5."""

YOLOV7_ANCHORS: Anchors = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
"""As published, for COCO at 640 pixels."""

BOX = 5
"""Numbers of an anchor before its classes: centre, size and objectness."""


class ImplicitAdd(nn.Module):
    """x plus a learnt number for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.empty(1, channels, 1, 1).normal_(0, 0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        return x + self.implicit


class ImplicitMultiply(nn.Module):
    """x times a learnt number for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.implicit = nn.Parameter(torch.empty(1, channels, 1, 1).normal_(1, 0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        return x * self.implicit


class ImplicitConv(nn.Module):
    """1x1 convolution with bias, between implicit knowledge that is added and multiplied."""

    def __init__(self, in_channels: int, out_channels: int, implicit: bool = True) -> None:
        """Build it; without implicit knowledge it is the convolution alone."""
        super().__init__()
        self.add = ImplicitAdd(in_channels) if implicit else nn.Identity()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)
        self.multiply = ImplicitMultiply(out_channels) if implicit else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        return self.multiply(self.conv(self.add(x)))

    def fuse(self) -> None:
        """Fold the implicit knowledge into the convolution."""
        weight, bias = self.conv.weight.data, self.conv.bias
        assert bias is not None
        if isinstance(self.add, ImplicitAdd):
            bias.data += weight[:, :, 0, 0] @ self.add.implicit.data.flatten()
        if isinstance(self.multiply, ImplicitMultiply):
            factor = self.multiply.implicit.data.flatten()
            bias.data *= factor
            weight *= factor[:, None, None, None]
        self.add, self.multiply = nn.Identity(), nn.Identity()


class AnchorHead(BaseHead):
    """For each anchor of a cell the box, whether there is an object, and its class.

    Attributes:
        sizes: (3, anchors of a cell, 2), width and height in input pixels, by level.
    """

    finds: ClassVar[tuple[str, ...]] = ("objectness",)
    sizes: Tensor

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        anchors: Anchors | Literal["auto"] = "auto",
        implicit: bool = True,
        strides: Sequence[int] = STRIDES,
    ) -> None:
        """Build a convolution for each level.

        Args:
            channels: of the three feature maps.
            num_classes: C >= 1.
            anchors: by level, as many for each; "auto": YOLOv7's, for COCO at 640 pixels, in place
                of which a training takes those that fit its data.
            implicit: whether there is implicit knowledge, which the deploy form folds away.
            strides: of the feature maps.

        Raises:
            ValueError: there are not as many anchors for each of three levels, or one is no width
                and height above 0; or the levels are not those that YOLOv7 has anchors for.
        """
        if tuple(strides) != STRIDES:
            raise ValueError(
                "YOLOv7's anchors are those of levels 3, 4 and 5: give model.levels=[3,4,5], or a "
                "head without anchors"
            )
        super().__init__(num_classes, strides)
        given = YOLOV7_ANCHORS if isinstance(anchors, str) else anchors
        count = _count(given)
        self.register_buffer("sizes", torch.tensor(given, dtype=torch.float32), persistent=False)
        self.levels = nn.ModuleList(
            ImplicitConv(c, count * (BOX + num_classes), implicit) for c in channels
        )
        self._init_biases(count)

    def _init_biases(self, count: int) -> None:
        """Start from about eight objects in an image of 640 x 640, and 0.6 of a class in each."""
        for level, stride in zip(self.levels, self.strides, strict=True):
            bias = level.get_parameter("conv.bias").data.view(count, -1)
            bias[:, BOX - 1] += math.log(8 / (640 / stride) ** 2)
            bias[:, BOX:] += math.log(0.6 / (self.num_classes - 0.99))

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Turn maps (B, channels, H / stride, W / stride) into raw outputs of all anchors."""
        count = self.sizes.shape[1]
        raw = by_anchor(self.levels, features).unflatten(-1, (count, -1)).flatten(1, 2)
        points, strides = anchor_points(features, self.strides)
        return HeadOutput(
            box_logits=raw[..., : BOX - 1],
            class_logits=raw[..., BOX:],
            anchor_points=points.repeat_interleave(count, dim=0),
            strides=strides.repeat_interleave(count, dim=0),
            objectness=raw[..., BOX - 1],
            anchor_sizes=torch.cat(
                [
                    level.repeat(feature.shape[2] * feature.shape[3], 1)
                    for level, feature in zip(self.sizes, features, strict=True)
                ]
            ),
        )

    def decode(self, output: HeadOutput) -> tuple[Tensor, Tensor]:
        """Turn logits into boxes, and those of objectness and class into their product."""
        assert output.objectness is not None
        objects = output.objectness.float().sigmoid().unsqueeze(-1)
        return decode_anchors(output), output.class_logits.float().sigmoid() * objects


def decode_anchors(output: HeadOutput) -> Tensor:
    """Turn logits into boxes: centres up to half a cell beyond the own cell, up to 4 anchor sizes.

    Returns:
        (B, A, 4) xyxy in input pixels, not clipped; float32.
    """
    assert output.anchor_sizes is not None
    centre, size = (2 * output.box_logits.float().sigmoid()).chunk(2, dim=-1)
    centre = (centre - 1) * output.strides + output.anchor_points
    half = size.square() * output.anchor_sizes / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def _count(anchors: Anchors) -> int:
    """Return how many anchors a cell has.

    Raises:
        ValueError: there are not as many for each of three levels, or one has no size.
    """
    counts = {len(level) for level in anchors}
    sizes = [size for level in anchors for size in level]
    if len(anchors) != len(STRIDES) or len(counts) != 1 or not sizes:
        raise ValueError("anchors must be lists of as many for each of the three levels")
    if any(len(size) != 2 or min(size) <= 0 for size in sizes):
        raise ValueError("each of the anchors must be a width and a height in pixels above 0")
    return len(anchors[0])
