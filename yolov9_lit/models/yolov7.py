"""YOLOv7 and YOLOv7 with an anchor-free head: from where the paper sets out (table 6, "+ AF").

Structure: YOLOv7 (arXiv 2207.02696, section 4.1) as trained; max-pooling halves of the
down-samplings and ELAN with all branches in the neck. With anchors, RepConv before the heads; in
place of them a decoupled head after plain convolutions. `TopDownSupervision` is the branch of its
larger models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolov9_lit.kinds import PositiveFloat
from yolov9_lit.models.detector import Detector, HeadFactory
from yolov9_lit.models.gelan import BackboneOutput, GelanSpec, Pyramid
from yolov9_lit.models.layers import Conv

OutputFactory: TypeAlias = Callable[[int, int], nn.Module]
"""Makes a layer that keeps height and width, of given channels in and out."""

STEM = 32
"""Channels of the first convolution."""


class ELAN(nn.Module):
    """YOLOv7's ELAN: two 1x1 projections, one of them through four 3x3 convolutions, concatenated.

    The backbone keeps every second convolution (`step` 2), the neck each one (`step` 1).
    """

    def __init__(
        self, in_channels: int, out_channels: int, width: int, conv_width: int, step: int
    ) -> None:
        super().__init__()
        self.step = step
        self.projections = nn.ModuleList(Conv(in_channels, width) for _ in range(2))
        self.chain = nn.ModuleList(Conv(c, conv_width, 3) for c in (width, *[conv_width] * 3))
        kept = len(self.chain) // step
        self.merge = Conv(2 * width + kept * conv_width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        parts = [projection(x) for projection in self.projections]
        y = parts[-1]
        for number, conv in enumerate(self.chain, start=1):
            y = conv(y)
            if number % self.step == 0:
                parts.append(y)
        return self.merge(torch.cat(parts[::-1], dim=1))


class PooledDown(nn.Module):
    """Down-sampling by 2 in two halves: a 3x3 convolution beside a max-pool, each with a 1x1."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.pooled = nn.Sequential(nn.MaxPool2d(2), Conv(in_channels, half))
        self.strided = nn.Sequential(Conv(in_channels, half), Conv(half, half, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / 2, W / 2)."""
        return torch.cat((self.strided(x), self.pooled(x)), dim=1)


class SPPCSP(nn.Module):
    """Spatial pyramid pooling in a CSP split; pools of 5, 9 and 13 are three chained ones of 5."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        c = out_channels
        self.before = nn.Sequential(Conv(in_channels, c), Conv(c, c, 3), Conv(c, c))
        self.after = nn.Sequential(Conv(4 * c, c), Conv(c, c, 3))
        self.shortcut = Conv(in_channels, c)
        self.merge = Conv(2 * c, c)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        scales = [self.before(x)]
        for _ in range(3):
            scales.append(F.max_pool2d(scales[-1], 5, 1, 2))
        y = self.after(torch.cat(scales, dim=1))
        return self.merge(torch.cat((y, self.shortcut(x)), dim=1))


class YOLOv7Backbone(nn.Module):
    """Three convolutions, then an ELAN at each of P2 to P5.

    Attributes:
        channels: of P1 to P5.
    """

    def __init__(self, in_channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        self.channels = scaled((64, 256, 512, 1024, 1024), width)
        stem, down, w2, w3, w4 = scaled((STEM, 128, 64, 128, 256), width)
        p1, p2, p3, p4, p5 = self.channels
        self.levels = nn.ModuleList(
            [
                nn.Sequential(Conv(in_channels, stem, 3), Conv(stem, p1, 3, 2), Conv(p1, p1, 3)),
                nn.Sequential(Conv(p1, down, 3, 2), ELAN(down, p2, w2, w2, step=2)),
                nn.Sequential(PooledDown(p2, p2), ELAN(p2, p3, w3, w3, step=2)),
                nn.Sequential(PooledDown(p3, p3), ELAN(p3, p4, w4, w4, step=2)),
                nn.Sequential(PooledDown(p4, p4), ELAN(p4, p5, w4, w4, step=2)),
            ]
        )

    def forward(self, image: Tensor) -> BackboneOutput:
        """(B, in_channels, H, W), H and W multiples of 32 -> feature maps."""
        x, outputs = image, []
        for level in self.levels:
            x = level(x)
            outputs.append(x)
        return BackboneOutput(tuple(outputs), tuple(outputs))


class YOLOv7Neck(nn.Module):
    """SPP, top-down and bottom-up paths of ELANs, and a 3x3 convolution before each head.

    Attributes:
        channels: of the outputs at levels 3, 4, 5.
        top_down: of the top-down path at the same levels.
    """

    def __init__(self, pyramid: Sequence[int], width: float, output: OutputFactory) -> None:
        """Build it.

        Args:
            pyramid: channels of P1 to P5.
            width: as a share of YOLOv7's.
            output: makes the convolution before a head.
        """
        super().__init__()
        *_, p3, p4, p5 = pyramid
        self.top_down = c3, c4, c5 = scaled((128, 256, 512), width)
        self.channels = scaled((256, 512, 1024), width)
        self.spp = SPPCSP(p5, c5)
        self.up4, self.lateral4 = Conv(c5, c4), Conv(p4, c4)
        self.n4 = _neck_elan(2 * c4, c4)
        self.up3, self.lateral3 = Conv(c4, c3), Conv(p3, c3)
        self.n3 = _neck_elan(2 * c3, c3)
        self.down4, self.p4 = PooledDown(c3, c4), _neck_elan(2 * c4, c4)
        self.down5, self.p5 = PooledDown(c4, c5), _neck_elan(2 * c5, c5)
        self.outputs = nn.ModuleList(
            output(a, b) for a, b in zip((c3, c4, c5), self.channels, strict=True)
        )

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """P1..P5 -> levels 3, 4, 5 for the main head, then those of the top-down path."""
        *_, p3, p4, p5 = pyramid
        s5 = self.spp(p5)
        n4 = self.n4(torch.cat((self.lateral4(p4), _double(self.up4(s5))), dim=1))
        n3 = self.n3(torch.cat((self.lateral3(p3), _double(self.up3(n4))), dim=1))
        b4 = self.p4(torch.cat((self.down4(n3), n4), dim=1))
        b5 = self.p5(torch.cat((self.down5(b4), s5), dim=1))
        outputs = (out(x) for out, x in zip(self.outputs, (n3, b4, b5), strict=True))
        return (*outputs, n3, n4, s5)


class TopDownSupervision(nn.Module):
    """YOLOv7's auxiliary branch: 3x3 convolutions on the neck's top-down path, a quarter wider.

    Deep supervision of the published W6, E6, D6 and E6E (section 4.2, figure 5), there at four
    levels; the last convolution of their auxiliary head has no implicit knowledge, here it is as
    the main head's.

    Attributes:
        channels: of the outputs at levels 3, 4, 5.
    """

    def __init__(self, top_down: Sequence[int], neck_channels: Sequence[int]) -> None:
        """Build it.

        Args:
            top_down: channels of the top-down path at levels 3, 4, 5.
            neck_channels: of the neck's outputs.

        Raises:
            ValueError: it is to be built for a neck that does not pass its top-down path on.
        """
        if isinstance(top_down, GelanSpec):
            raise ValueError(
                "YOLOv7's auxiliary branch reads what is inside YOLOv7's neck: give model=yolov7, "
                "or another pgi"
            )
        super().__init__()
        self.channels = scaled(neck_channels, 1.25)
        self.convs = nn.ModuleList(
            Conv(a, b, 3) for a, b in zip(top_down, self.channels, strict=True)
        )

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Read the neck, give levels 3 to 5."""
        return tuple(conv(x) for conv, x in zip(self.convs, neck[-3:], strict=True))


def scaled(channels: Sequence[int], width: float) -> tuple[int, ...]:
    """Return channels times a width, rounded to multiples of 8, at least 8."""
    return tuple(max(round(c * width / 8), 1) * 8 for c in channels)


def _neck_elan(in_channels: int, out_channels: int) -> ELAN:
    return ELAN(in_channels, out_channels, out_channels, out_channels // 2, step=1)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0)


def yolov7_detector(
    *,
    num_classes: int,
    head: HeadFactory,
    in_channels: int = 3,
    width: PositiveFloat = 1.0,
    output: OutputFactory | None = None,
    block: Any = None,
    pgi: Mapping[str, Any] | None = None,
) -> Detector:
    """Build YOLOv7.

    Args:
        num_classes: C >= 1.
        head: factory of the head.
        in_channels: channels of the image.
        width: of all layers, as a share of the published one; channels are multiples of 8.
        output: makes the convolution before a head: a plain one of 3x3 by default; YOLOv7's own is
            `RepConv`.
        block: must be None; here to be refused in words.
        pgi: auxiliary branches by name, each a `TopDownSupervision`.

    Raises:
        ValueError: a computational block or a branch of another model was asked for.
    """
    made = pgi or {}
    if block or not all(map(_fits, made.values())):
        raise ValueError(
            "YOLOv7 is a fixed baseline without computational blocks and GELAN's auxiliary "
            "branches: leave out block, and use pgi=none or pgi=yolov7_aux"
        )
    backbone = YOLOv7Backbone(in_channels, width)
    neck = YOLOv7Neck(backbone.channels, width, output or partial(Conv, kernel=3))
    main_head = head(neck.channels, num_classes)
    branches = {name: make(neck.top_down, neck.channels) for name, make in made.items()}
    heads = {name: head(branch.channels, num_classes) for name, branch in branches.items()}
    return Detector(backbone, neck, main_head, branches, heads)


def _fits(branch: Any) -> bool:
    """Whether this makes a branch that reads what YOLOv7's neck gives."""
    made = branch.func if isinstance(branch, partial) else branch
    return isinstance(made, type) and issubclass(made, TopDownSupervision)
