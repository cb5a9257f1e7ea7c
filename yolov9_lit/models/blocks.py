"""Computational blocks of a GELAN stage, made of convolutions (YOLOv9 paper, section 4.2, table 2).

A block is any `nn.Module` class whose constructor takes `(in_channels, out_channels, depth)` and
which keeps height and width; `depth` (the paper's CSP depth) repeats its inner unit. Those made of
attention are in `models.attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn

from yolov9_lit.models.layers import Conv, RepConv


class BlockFactory(Protocol):
    """Makes a computational block: (B, in_channels, H, W) -> (B, out_channels, H, W)."""

    def __call__(self, in_channels: int, out_channels: int, depth: int) -> nn.Module:
        """Build the block with `depth` >= 1 inner units."""
        ...


class Residual(nn.Module):
    """Layers whose input is added to their output where the widths agree."""

    def __init__(self, in_channels: int, out_channels: int, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.add = in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        y = self.layers(x)
        return x + y if self.add else y


def _chain(
    unit: Callable[[int, int], nn.Module], in_channels: int, out_channels: int, depth: int
) -> Iterator[nn.Module]:
    """`depth` units one after another, the first of which changes the width."""
    return (unit(a, b) for a, b in pairwise([in_channels] + [out_channels] * depth))


class ConvBlock(nn.Sequential):
    """A plain 3x3 convolution, `depth` times."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        super().__init__(*_chain(lambda a, b: Conv(a, b, 3), in_channels, out_channels, depth))


class ResBlock(nn.Sequential):
    """ResNet's bottleneck, `depth` times: 1x1 to half the width, 3x3, 1x1 back, residual."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        hidden = out_channels // 2

        def unit(a: int, b: int) -> nn.Module:
            return Residual(a, b, Conv(a, hidden, 1), Conv(hidden, hidden, 3), Conv(hidden, b, 1))

        super().__init__(*_chain(unit, in_channels, out_channels, depth))


class DarkBlock(nn.Sequential):
    """Darknet's bottleneck, `depth` times: 1x1 to half the width, 3x3 back, residual."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        hidden = out_channels // 2

        def unit(a: int, b: int) -> nn.Module:
            return Residual(a, b, Conv(a, hidden, 1), Conv(hidden, b, 3))

        super().__init__(*_chain(unit, in_channels, out_channels, depth))


class DepthwiseBlock(nn.Sequential):
    """Depth-wise separable convolution, `depth` times: 3x3 on each channel alone, 1x1, residual.

    From MobileNets (arXiv 1704.04861), with YOLO's normalisation and activation after each half.
    """

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        def unit(a: int, b: int) -> nn.Module:
            return Residual(a, b, Conv(a, a, 3, groups=a), Conv(a, b))

        super().__init__(*_chain(unit, in_channels, out_channels, depth))


class CSPBlock(nn.Module):
    """CSPNet block (arXiv 1911.11929) with RepConv bottlenecks: the block of the published models.

    Two 1x1 projections to half the width, one of them through `depth` residual bottlenecks of a
    RepConv and a 3x3 convolution; concatenation; 1x1 to the full width.
    """

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.main = Conv(in_channels, hidden)
        self.shortcut = Conv(in_channels, hidden)
        self.merge = Conv(2 * hidden, out_channels)
        self.bottlenecks = nn.Sequential(
            *(
                Residual(hidden, hidden, RepConv(hidden, hidden), Conv(hidden, hidden, 3))
                for _ in range(depth)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        return self.merge(torch.cat((self.bottlenecks(self.main(x)), self.shortcut(x)), dim=1))
