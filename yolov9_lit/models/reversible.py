"""Reversible columns as a main branch (YOLOv9 paper, figure 3 (b); RevCol, arXiv 2212.11696).

Every column has the levels P2 to P5. Level l of column i is

    x = down(maps[i][l - 1]) + up(maps[i - 1][l + 1])
    maps[i][l] = x + weight * block(x) + scale * maps[i - 1][l],

so no column loses anything: from P5 down to P2 the maps of column i - 1 follow from those of
column i. As in RevCol the lowest level reads the stem in every column, `up` is a 1x1 convolution
and nearest up-sampling, the deepest level has none, and the first column has no column before it.
What is GELAN's own are widths, down-samplings and blocks (`block`, `csp_depth`), where RevCol has
ConvNeXt's. As there a block is a residual of small weight: through whole GELAN stages rounding
errors grow far faster from column to column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from yolov9_lit.errors import UserError
from yolov9_lit.kinds import PositiveInt
from yolov9_lit.models.gelan import BackboneOutput, GelanSpec, Pyramid
from yolov9_lit.models.layers import Conv, cb_fuse, statistics_as_they_are

SCALE = 0.5
"""Of the column before, at the start: as in RevCol's code."""

LEAST_SCALE = 0.1
"""Its smallest size in use. Going back divides rounding errors by it, in every column anew; RevCol
has 1e-3."""

WEIGHT = 0.1
"""Of the blocks, at the start; RevCol has 1e-6 and trains with AdamW."""

Gradients = dict[nn.Parameter, Tensor]


class Level(nn.Module):
    """One level of one column."""

    def __init__(
        self, down: nn.Module, block: nn.Module, channels: int, up: nn.Module | None, first: bool
    ) -> None:
        """Join the parts.

        Args:
            down: from the level below.
            block: keeps channels and size.
            channels: of the level's map.
            up: from the level above, in the column before; up-sampling comes by itself.
            first: there is no column before.
        """
        super().__init__()
        self.down = down
        self.block = block
        self.up = up
        self.weight = nn.Parameter(torch.full((channels, 1, 1), WEIGHT))
        self.scale = None if first else nn.Parameter(torch.full((channels, 1, 1), SCALE))

    def added(self, below: Tensor, above: Tensor | None) -> Tensor:
        """Compute what is added to the scaled map of the column before.

        Args:
            below: map of the level below, in this column.
            above: map of the level above, in the column before; None where there is none.
        """
        kind = self.weight.dtype
        x = self.down(below.to(kind))
        if self.up is not None and above is not None:
            x = cb_fuse(x, [self.up(above.to(kind))])
        return x + self.weight * self.block(x)

    def used_scale(self) -> Tensor:
        """Return the scale (C, 1, 1), kept away from zero; its gradient passes all the same."""
        assert self.scale is not None
        away = torch.where(self.scale < 0, -1.0, 1.0) * self.scale.abs().clamp(LEAST_SCALE)
        return self.scale + (away - self.scale).detach()


class Before(NamedTuple):
    """What is known of the column before, once a column was gone back through.

    Attributes:
        maps: of the column before; none of the first one.
        gradients: of the loss with respect to them.
        stem: gradient with respect to the stem's map, by this column.
        parameters: gradients of this column's parameters.
    """

    maps: Sequence[Tensor]
    gradients: Sequence[Tensor]
    stem: Tensor
    parameters: Gradients


class ReversibleColumn(nn.Module):
    """The levels P2 to P5 of one column."""

    def __init__(self, spec: GelanSpec, first: bool) -> None:
        super().__init__()
        channels = spec.column_channels[1:]
        self.levels = nn.ModuleList()
        for i, width in enumerate(channels):
            down = spec.down(channels[i - 1], width) if i else nn.Identity()
            linked = not first and i + 1 < len(channels)
            up = Conv(channels[i + 1], width, activate=False) if linked else None
            block = spec.block(width, width, spec.csp_depth)
            self.levels.append(Level(down, block, width, up, first))

    def forward(self, stem: Tensor, before: Sequence[Tensor]) -> Pyramid:
        """Compute P2 to P5, in the stem's type.

        Args:
            stem: map at stride 4.
            before: P2 to P5 of the column before; none for the first one.
        """
        maps: list[Tensor] = []
        for i, level in enumerate(self.levels):
            assert isinstance(level, Level)
            above = before[i + 1] if i + 1 < len(before) else None
            x = level.added(maps[-1] if maps else stem, above).to(stem.dtype)
            maps.append(x + level.used_scale() * before[i] if before else x)
        return tuple(maps)

    def back(self, stem: Tensor, maps: Sequence[Tensor], gradients: Sequence[Tensor]) -> Before:
        """Recover the column before, and go on with the gradient, one level's graph at a time.

        Args:
            stem: as `forward` has read it.
            maps: that `forward` gave.
            gradients: of the loss with respect to them.
        """
        below = [stem, *maps[:-1]]
        into = [torch.zeros_like(stem), *gradients]  # of each level's `below`, the last one's map
        before: list[Tensor] = []  # from P5 on, as are their gradients
        passed: list[Tensor] = []
        parameters: Gradients = {}
        for i in reversed(range(len(self.levels))):
            level = self.levels[i]
            assert isinstance(level, Level)
            trained = [p for p in level.parameters() if p.requires_grad]
            above = before[-1] if before else None
            with torch.enable_grad(), statistics_as_they_are(level):
                read = [below[i].detach().requires_grad_()]
                if above is not None:
                    above = above.detach().requires_grad_()
                    read.append(above)
                x = level.added(read[0], above).to(stem.dtype)
                if level.scale is not None:
                    scale = level.used_scale()
                    previous = ((maps[i] - x) / scale).detach().requires_grad_()
                    read.append(previous)
                    before.append(previous.detach())
                    x = x + scale * previous
            found = torch.autograd.grad(x, [*read, *trained], into[i + 1])
            into[i] = into[i] + found[0]
            if above is not None:
                passed[-1] = passed[-1] + found[1]
            if level.scale is not None:
                passed.append(found[len(read) - 1])
            parameters.update(zip(trained, found[len(read) :], strict=True))
        return Before(before[::-1], passed[::-1], into[0], parameters)


class ReversibleColumns(nn.Module):
    """A stem of two strided convolutions and reversible columns, the last one read by the neck.

    In training the backward pass goes from column to column and recovers the maps of each from the
    next one's: what is kept of a step is the stem's map and the last column's, however many columns
    there are. Blocks then compute in float32, under mixed precision too, and maps are added up in
    float64: going back multiplies rounding errors in each column, and in float32 a tenth of the
    gradient would be wrong after eight.
    """

    def __init__(self, spec: GelanSpec, columns: PositiveInt, reversible: bool = True) -> None:
        """Build the columns, all alike.

        Args:
            spec: model whose widths, blocks and down-samplings they take.
            columns: their number, 1 or more.
            reversible: recover maps in training; False: keep them, by ordinary back-propagation.

        Raises:
            ValueError: there is no column.
        """
        super().__init__()
        if columns < 1:
            raise ValueError(f"columns is {columns}, it must be at least 1")
        self.reversible, self.finest = reversible, spec.levels[0]
        self.stem = nn.Sequential(
            Conv(spec.in_channels, spec.stem[0], 3, 2), Conv(spec.stem[0], spec.p2[0], 3, 2)
        )
        # Not a ModuleList, by which other backbones have their levels.
        self.columns = nn.Sequential(*(ReversibleColumn(spec, i == 0) for i in range(columns)))

    def forward(self, image: Tensor) -> BackboneOutput:
        """(B, in_channels, H, W), H and W multiples of 32 -> the finest level of heads to P5.

        Raises:
            UserError: in training, weights or device are such that maps cannot be recovered.
        """
        stem = self.stem(image)
        maps: Pyramid
        if self.reversible and self.training and torch.is_grad_enabled():
            maps = self._recoverable(stem)
        else:
            maps = _through(self.columns, stem)
        pyramid = maps[self.finest - 2 :]
        return BackboneOutput(pyramid, pyramid)

    def _recoverable(self, stem: Tensor) -> Pyramid:
        parameters = [p for p in self.columns.parameters() if p.requires_grad]
        kinds = {p.dtype for p in parameters}
        if kinds & {torch.float16, torch.bfloat16} or stem.device.type == "mps":
            raise UserError(
                "Reversible columns need weights in float32 and a device that has float64: give "
                "trainer.precision=32 or a mixed one, or model.backbone.reversible=false."
            )
        maps = _Recovering.apply(self.columns, stem.double(), *parameters)
        return tuple(x.to(stem.dtype) for x in maps)


def _through(columns: nn.Sequential, stem: Tensor) -> Pyramid:
    maps: Pyramid = ()
    for column in columns:
        maps = column(stem, maps)
    return maps


class _Recovering(torch.autograd.Function):
    """All columns as one node of the graph, which keeps the stem's map and the last column's."""

    @staticmethod
    def forward(
        ctx: Any, columns: nn.Sequential, stem: Tensor, *parameters: nn.Parameter
    ) -> Pyramid:
        with torch.autocast(stem.device.type, enabled=False):
            maps = _through(columns, stem)
        ctx.columns, ctx.parameters = columns, parameters
        ctx.save_for_backward(stem, *maps)
        return maps

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        stem, *maps = ctx.saved_tensors
        into, found = torch.zeros_like(stem), {}
        with torch.autocast(stem.device.type, enabled=False):
            for column in reversed(ctx.columns):
                maps, gradients, added, parameters = column.back(stem, maps, gradients)
                into += added
                found.update(parameters)
        return None, into, *(found[p] for p in ctx.parameters)
