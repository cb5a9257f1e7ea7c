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

from yolov9_lit.kinds import Limits, PositiveInt, Words
from yolov9_lit.models.blocks import BlockFactory
from yolov9_lit.models.layers import SPPELAN, CBLinear, Conv, cb_fuse
from yolov9_lit.models.levels import DEEPEST, LEVELS, at_levels, require_levels, strides_of

StageWidths = Sequence[int]
"""(out, mid, branch) channels of a GELAN stage."""

Pyramid = tuple[Tensor, ...]
"""Feature maps (B, C, H / 2^level, W / 2^level): a column's P1 to P5, or those of heads."""


_LEVEL_WORDS = Words("levels from 2 to 5 one after the other, such as [2,3,4,5]")


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
        top_down: widths of the neck's stages N4 and N3, and of N2 where there is one: by default
            half of N3's.
        bottom_up: widths of the neck's output stages P4 and P5, before them those of P3 where the
            finest level is 2: by default N3's.
        bottom_up_downs: channels of the neck's down-samplings to P4 and P5, before them those to P3
            where there is one: by default N2's.
        block: factory of the computational block.
        down: factory of the down-sampling layer, called with (in_channels, out_channels).
        elan_depth: branches of a stage, 1 to 100.
        csp_depth: depth of each computational block, 1 to 100.
        in_channels: channels of the image.
        levels: that heads read, 2 to 5, one after the other.
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
    levels: Annotated[Sequence[int], _LEVEL_WORDS] = LEVELS

    def __post_init__(self) -> None:
        """Raise ValueError for depths below 1, and for levels that heads cannot read."""
        require_levels(self.levels)
        for name in ("top_down", "bottom_up", "bottom_up_downs"):
            if len(getattr(self, name)) not in (2, 3):
                raise ValueError(f"{name} must have an entry for each of two levels, or of three")
        for name in ("elan_depth", "csp_depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")

    def of_width(self, share: float) -> GelanSpec:
        """Return this spec with a share of a column's channels, rounded up to a multiple of 4."""
        if share == 1:
            return self

        return replace(
            self,
            stem=_scaled(self.stem, share),
            p2=_scaled(self.p2, share),
            stages=[_scaled(stage, share) for stage in self.stages],
            downs=_scaled(self.downs, share),
        )

    @property
    def link_channels(self) -> dict[int, int]:
        """Channels of a column right after its down-sampling to each level, 1 to 5."""
        return dict(enumerate((*self.stem, *self.downs), start=1))

    @property
    def column_channels(self) -> tuple[int, ...]:
        """Channels of a column's outputs P1 to P5."""
        return (self.stem[0], self.p2[0], *(stage[0] for stage in self.stages))

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of a column's outputs at the levels that heads read."""
        return tuple(self.column_channels[level - 1] for level in self.levels)

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell at the levels that heads read."""
        return strides_of(self.levels)

    @property
    def top_down_widths(self) -> dict[int, StageWidths]:
        """Widths of the neck's stages on the way down, by level."""
        n4, n3, *n2 = self.top_down
        return {4: n4, 3: n3, 2: n2[0] if n2 else _scaled(n3, 0.5)}

    @property
    def bottom_up_widths(self) -> dict[int, tuple[int, StageWidths]]:
        """Channels of the neck's down-sampling to each level, and widths of the stage there."""
        *d3, d4, d5 = self.bottom_up_downs
        *p3, p4, p5 = self.bottom_up
        down = self.top_down_widths
        return {
            3: (d3[0] if d3 else down[2][0], p3[0] if p3 else down[3]),
            4: (d4, p4),
            5: (d5, p5),
        }

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


def _scaled(widths: Sequence[int], share: float) -> list[int]:
    return [4 * math.ceil(share * width / 4) for width in widths]


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

    def __init__(self, spec: GelanSpec, deepest: int = DEEPEST) -> None:
        """Build the levels; those beyond the deepest, 2 to 5, are left out."""
        super().__init__()
        after_p2 = deepest - 2
        downs, stages = spec.downs[:after_p2], spec.stages[:after_p2]
        inputs = spec.column_channels[1 : deepest - 1]
        self.downs = nn.ModuleList(
            [
                Conv(spec.in_channels, spec.stem[0], 3, 2),
                Conv(spec.stem[0], spec.stem[1], 3, 2),
                *(spec.down(a, b) for a, b in zip(inputs, downs, strict=True)),
            ]
        )
        self.stages = nn.ModuleList(
            [
                nn.Identity(),
                spec.p2_stage(),
                *(spec.stage(a, b) for a, b in zip(downs, stages, strict=True)),
            ]
        )

    def forward(
        self, image: Tensor, links: Mapping[int, Sequence[Tensor]] | None = None
    ) -> Pyramid:
        """Compute P1 to the deepest; `links[level]` is added right after the step down to it."""
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
        main: P1 to P5 for the neck, or without the first of them: readers count from the last.
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
    """SPP-ELAN on P5 and a top-down path to the finest level: a feature pyramid network.

    The stages are `n4`, `n3` and `n2`, as far down as the finest level.

    Attributes:
        channels: of the maps at the levels that heads read.
    """

    def __init__(self, spec: GelanSpec) -> None:
        super().__init__()
        self.levels = tuple(spec.levels)
        self.steps = tuple(range(DEEPEST - 1, self.levels[0] - 1, -1))
        self.spp = SPPELAN(spec.column_channels[-1], *spec.spp)
        channels = {DEEPEST: spec.spp[0]}
        for level in self.steps:
            widths = spec.top_down_widths[level]
            in_channels = channels[level + 1] + spec.column_channels[level - 1]
            self.add_module(f"n{level}", spec.stage(in_channels, widths))
            channels[level] = widths[0]
        self.channels = tuple(channels[level] for level in self.levels)

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """P1..P5 -> the levels that heads read."""
        maps = {DEEPEST: self.spp(pyramid[-1])}
        for level in self.steps:
            (own,) = at_levels(pyramid, [level])
            coarser = F.interpolate(maps[level + 1], scale_factor=2.0)
            maps[level] = getattr(self, f"n{level}")(torch.cat((coarser, own), dim=1))
        return tuple(maps[level] for level in self.levels)


class PathAggregation(nn.Module):
    """The top-down path followed by a bottom-up one: the neck of every GELAN model.

    A step of the latter is `down4` and `p4`, from the level after the finest to the coarsest.

    Attributes:
        channels: of the maps at the levels that heads read.
    """

    def __init__(self, spec: GelanSpec) -> None:
        super().__init__()
        self.top_down = TopDown(spec)
        self.steps = tuple(spec.levels[1:])
        finest, *others = self.top_down.channels
        channels = [finest]
        for level, beside in zip(self.steps, others, strict=True):
            down, widths = spec.bottom_up_widths[level]
            self.add_module(f"down{level}", spec.down(channels[-1], down))
            self.add_module(f"p{level}", spec.stage(down + beside, widths))
            channels.append(widths[0])
        self.channels = tuple(channels)

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """P1..P5 -> the levels that heads read."""
        finest, *others = self.top_down(pyramid)
        maps = [finest]
        for level, beside in zip(self.steps, others, strict=True):
            down = getattr(self, f"down{level}")(maps[-1])
            maps.append(getattr(self, f"p{level}")(torch.cat((down, beside), dim=1)))
        return tuple(maps)
