"""Prototype masks of an image, of which each object's mask is a combination (YOLACT, 1904.02689).

Both forms read the finest of a branch's maps and give maps of stride 4: of twice its size where it
has stride 8.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from yolov9_lit.kinds import PositiveInt
from yolov9_lit.models.blocks import CSPBlock
from yolov9_lit.models.gelan import GELANStage
from yolov9_lit.models.layers import Conv


class PrototypesFactory(Protocol):
    """Makes the prototypes of a branch."""

    def __call__(self, in_channels: int, count: int, *, scale: int) -> nn.Module:
        """Build a module from (B, in_channels, h, w) to (B, count, scale * h, scale * w)."""
        ...


class UpsampledPrototypes(nn.Sequential):
    """3x3, nearest up-sampling, 3x3, 1x1: published as "seg"."""

    def __init__(
        self, in_channels: int, count: int, width: PositiveInt = 256, scale: PositiveInt = 2
    ) -> None:
        """Build it.

        Args:
            in_channels: of the finest map.
            count: M, number of prototypes.
            width: channels of all but the last convolution.
            scale: of the prototypes' sides, as times the map's.
        """
        super().__init__(
            Conv(in_channels, width, 3),
            nn.Upsample(scale_factor=float(scale)),
            Conv(width, width, 3),
            Conv(width, count),
        )


class StagePrototypes(nn.Module):
    """A GELAN stage, nearest up-sampling, 3x3 and 1x1 convolution: published as "dseg"."""

    def __init__(
        self,
        in_channels: int,
        count: int,
        width: PositiveInt = 256,
        csp_depth: PositiveInt = 1,
        scale: PositiveInt = 2,
    ) -> None:
        """Build it.

        Args:
            in_channels: of the finest map, and of what the stage gives.
            count: M, number of prototypes.
            width: inner channels of the stage, twice those of its two branches, and of the 3x3.
            csp_depth: bottlenecks of each of the stage's blocks.
            scale: of the prototypes' sides, as times the map's.
        """
        super().__init__()

        def branch(channels: int, branch_width: int) -> nn.Module:
            return nn.Sequential(
                CSPBlock(channels, branch_width, csp_depth), Conv(branch_width, branch_width, 3)
            )

        self.scale = float(scale)
        self.stage = GELANStage(in_channels, (in_channels, width, width // 2), branch, depth=2)
        self.smooth = Conv(in_channels, width, 3)
        self.project = Conv(width, count)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, count, scale * h, scale * w)."""
        return self.project(self.smooth(F.interpolate(self.stage(x), scale_factor=self.scale)))
