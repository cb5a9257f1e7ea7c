"""GELAN: the stage, the backbone columns and the neck (YOLOv9 paper, section 4.2, figure 4).

A `GelanSpec` holds every width and factory once; backbone, neck and auxiliary branches are all
built from it, so a change of block or depth reaches each of them alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolov9_lit.kinds import Limits, PositiveInt
from yolov9_lit.models.blocks import BlockFactory
from yolov9_lit.models.layers import SPPELAN, CBLinear, Conv, cb_fuse

StageWidths = Sequence[int]
"""(out, mid, branch) channels of a GELAN stage."""

Pyramid = tuple[Tensor, ...]
"""Feature maps (B, C, H / 2^level, W / 2^level): of a column P1 to P5, of a neck levels 3 to 5."""


@dataclass(frozen=True)
class GelanSpec:
    """Widths and parts of one GELAN model.

    Attributes:
        stem: channels of the two stride-2 convolutions that give P1 and P2.
        p2: widths of the stage at P2.
        plain_p2: the P2 stage's branches are single 3x3 convolutions ("ELAN-1": T and S).
        stages: widths of the stages at P3, P4 and P5.
        downs: channels that each down-sampling to P3, P4 and P5 gives.
        spp: (out, mid) channels of the neck's SPP-ELAN.
        top_down: widths of the neck's stages N4 and N3.
        bottom_up: widths of the neck's output stages P4 and P5.
        bottom_up_downs: channels of the neck's two down-samplings.
        block: factory of the computational block.
        down: factory of the down-sampling layer, called with (in_channels, out_channels).
        elan_depth: branches of a stage, 1 to 100.
        csp_depth: depth of each computational block, 1 to 100.
        in_channels: channels of the image.
    """

    stem: Sequence[int]
    p2: StageWidths
    plain_p2: bool
    stages: Sequence[StageWidths]
    downs: Sequence[int]
    spp: Sequence[int]
    top_down: Sequence[StageWidths]
    bottom_up: Sequence[StageWidths]
    bottom_up_downs: Sequence[int]
    block: BlockFactory
    down: Callable[[int, int], nn.Module]
    elan_depth: Annotated[int, Limits(1, 100)]
    csp_depth: Annotated[int, Limits(1, 100)]
    in_channels: PositiveInt = 3

    def __post_init__(self) -> None:
        """Raise ValueError for depths below 1."""
        for name in ("elan_depth", "csp_depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")

    def of_width(self, share: float) -> GelanSpec:
        """Return this spec with a share of a column's channels, rounded up to a multiple of 4."""
        if share == 1:
            return self

        def scaled(widths: Sequence[int]) -> list[int]:
            return [4 * math.ceil(share * width / 4) for width in widths]

        return replace(
            self,
            stem=scaled(self.stem),
            p2=scaled(self.p2),
            stages=[scaled(stage) for stage in self.stages],
            downs=scaled(self.downs),
        )

    @property
    def link_channels(self) -> dict[int, int]:
        """Channels of a column right after its down-sampling to each level, 1 to 5."""
        return dict(enumerate((*self.stem, *self.downs), start=1))

    @property
    def column_channels(self) -> tuple[int, ...]:
        """Channels of a column's outputs P1 to P5."""
        return (self.stem[0], self.p2[0], *(stage[0] for stage in self.stages))

    def stage(self, in_channels: int, widths: StageWidths) -> GELANStage:
        """Build a GELAN stage of this model's block and depths."""

        def branch(in_channels: int, width: int) -> nn.Module:
            return nn.Sequential(
                self.block(in_channels, width, self.csp_depth), Conv(width, width, 3)
            )

        return GELANStage(in_channels, widths, branch, self.elan_depth)

    def p2_stage(self) -> GELANStage:
        """Build the P2 stage: plain 3x3 branches in the small models, a normal one elsewhere."""
        if not self.plain_p2:
            return self.stage(self.stem[1], self.p2)
        return GELANStage(self.stem[1], self.p2, lambda a, b: Conv(a, b, 3), depth=2)


class GELANStage(nn.Module):
    """Generalised ELAN: a split, a chain of branches on one half of it, all concatenated."""

    def __init__(
        self,
        in_channels: int,
        widths: StageWidths,
        branch: Callable[[int, int], nn.Module],
        depth: int,
    ) -> None:
        super().__init__()
        out, mid, width = widths
        self.split = Conv(in_channels, mid)
        inputs = [mid // 2] + [width] * (depth - 1)
        self.branches = nn.ModuleList(branch(channels, width) for channels in inputs)
        self.merge = Conv(mid + depth * width, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        # Not the whole, though it is the same: OpenVINO is slow to split what is also used whole.
        first, last = self.split(x).chunk(2, dim=1)
        parts = [first, last]
        for branch in self.branches:
            last = branch(last)
            parts.append(last)
        return self.merge(torch.cat(parts, dim=1))


class Column(nn.Module):
    """One pass from the image to P5: at each level a down-sampling, then a stage."""

    def __init__(self, spec: GelanSpec) -> None:
        super().__init__()
        channels = spec.column_channels
        self.downs = nn.ModuleList(
            [
                Conv(spec.in_channels, spec.stem[0], 3, 2),
                Conv(spec.stem[0], spec.stem[1], 3, 2),
                *(spec.down(a, b) for a, b in zip(channels[1:4], spec.downs, strict=True)),
            ]
        )
        self.stages = nn.ModuleList(
            [
                nn.Identity(),
                spec.p2_stage(),
                *(spec.stage(a, b) for a, b in zip(spec.downs, spec.stages, strict=True)),
            ]
        )

    def forward(
        self, image: Tensor, links: Mapping[int, Sequence[Tensor]] | None = None
    ) -> Pyramid:
        """Compute P1 to P5; `links[level]` is added right after the down-sampling to that level."""
        links = links or {}
        x, outputs = image, []
        for level, (down, stage) in enumerate(zip(self.downs, self.stages, strict=True), start=1):
            x = stage(cb_fuse(down(x), links.get(level, ())))
            outputs.append(x)
        return tuple(outputs)


class DHLC(nn.Module):
    """Dense higher-level composite linkage (CBNetV2, arXiv 2107.00420) from one column to another.

    Every source level sends one 1x1-projected split to each target level at or above its
    resolution; a target level thus receives all source levels that are as deep or deeper.
    """

    def __init__(self, sources: Mapping[int, int], targets: Mapping[int, int]) -> None:
        """Build the links.

        Args:
            sources: channels of the sending feature maps by level.
            targets: channels of the receiving feature maps by level.
        """
        super().__init__()
        self.targets = {s: [t for t in sorted(targets) if t <= s] for s in sorted(sources)}
        self.linears = nn.ModuleDict(
            {
                str(source): CBLinear(sources[source], [targets[t] for t in levels])
                for source, levels in self.targets.items()
            }
        )

    def forward(self, sources: Mapping[int, Tensor]) -> dict[int, list[Tensor]]:
        """Give for each target level the splits to be added there, not yet up-sampled."""
        links: dict[int, list[Tensor]] = {}
        for source, levels in self.targets.items():
            for target, split in zip(
                levels, self.linears[str(source)](sources[source]), strict=True
            ):
                links.setdefault(target, []).append(split)
        return links


class BackboneOutput(NamedTuple):
    """What a backbone computes.

    Attributes:
        main: P1 to P5 for the neck, or P3 to P5 alone: readers count from the last.
        auxiliary: those levels for PGI's auxiliary branches: the same maps, or those of the
            first column of a composite backbone.
    """

    main: Pyramid
    auxiliary: Pyramid


class Backbone(nn.Module):
    """A single column: GELAN T, S, M and C."""

    def __init__(self, spec: GelanSpec) -> None:
        super().__init__()
        self.column = Column(spec)

    def forward(self, image: Tensor) -> BackboneOutput:
        """(B, in_channels, H, W), H and W multiples of 32 -> feature maps."""
        pyramid = self.column(image)
        return BackboneOutput(pyramid, pyramid)


class CompositeBackbone(nn.Module):
    """Two columns joined by DHLC links: GELAN-E. The second starts again from the image."""

    def __init__(self, spec: GelanSpec) -> None:
        super().__init__()
        self.first = Column(spec)
        sources = dict(enumerate(spec.column_channels, start=1))
        self.links = DHLC(sources, spec.link_channels)
        self.second = Column(spec)

    def forward(self, image: Tensor) -> BackboneOutput:
        """(B, in_channels, H, W), H and W multiples of 32 -> feature maps."""
        first = self.first(image)
        links = self.links(dict(enumerate(first, start=1)))
        return BackboneOutput(self.second(image, links), first)


class BackboneFactory(Protocol):
    """Makes a backbone from a model's spec."""

    def __call__(self, spec: GelanSpec) -> nn.Module:
        """Build a module from (B, C, H, W) images to a BackboneOutput."""
        ...


class TopDown(nn.Module):
    """SPP-ELAN on P5 and a top-down path over P4 and P3: a feature pyramid network."""

    def __init__(self, spec: GelanSpec) -> None:
        super().__init__()
        p3, p4, p5 = spec.column_channels[2:]
        n4, n3 = spec.top_down
        self.spp = SPPELAN(p5, *spec.spp)
        self.n4 = spec.stage(spec.spp[0] + p4, n4)
        self.n3 = spec.stage(n4[0] + p3, n3)
        self.channels = (n3[0], n4[0], spec.spp[0])

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """P1..P5 -> levels 3, 4, 5."""
        *_, p3, p4, p5 = pyramid
        s5 = self.spp(p5)
        n4 = self.n4(torch.cat((F.interpolate(s5, scale_factor=2.0), p4), dim=1))
        n3 = self.n3(torch.cat((F.interpolate(n4, scale_factor=2.0), p3), dim=1))
        return n3, n4, s5


class PathAggregation(nn.Module):
    """The top-down path followed by a bottom-up one: the neck of every GELAN model."""

    def __init__(self, spec: GelanSpec) -> None:
        super().__init__()
        self.top_down = TopDown(spec)
        n3, n4, n5 = self.top_down.channels
        p4, p5 = spec.bottom_up
        self.down4 = spec.down(n3, spec.bottom_up_downs[0])
        self.p4 = spec.stage(spec.bottom_up_downs[0] + n4, p4)
        self.down5 = spec.down(p4[0], spec.bottom_up_downs[1])
        self.p5 = spec.stage(spec.bottom_up_downs[1] + n5, p5)
        self.channels = (n3, p4[0], p5[0])

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """P1..P5 -> levels 3, 4, 5."""
        n3, n4, n5 = self.top_down(pyramid)
        p4 = self.p4(torch.cat((self.down4(n3), n4), dim=1))
        p5 = self.p5(torch.cat((self.down5(p4), n5), dim=1))
        return n3, p4, p5
