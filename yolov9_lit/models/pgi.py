"""Auxiliary branches of programmable gradient information (YOLOv9 paper, section 4.1, table 4).

A branch supervises the backbone during training through heads of its own and is absent from the
deploy form. It is any `nn.Module` whose constructor takes `(spec, neck_channels)`, whose `forward`
takes `(image, auxiliary, neck)` and gives the feature maps of the spec's levels, and which names
their channels in `channels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from yolov9_lit.kinds import PositiveFloat
from yolov9_lit.models.gelan import DHLC, Column, GelanSpec, PathAggregation, Pyramid, TopDown
from yolov9_lit.models.layers import Conv
from yolov9_lit.models.levels import at_levels


class AuxiliaryFactory(Protocol):
    """Makes an auxiliary branch."""

    def __call__(self, spec: GelanSpec, neck_channels: Sequence[int]) -> nn.Module:
        """Build the branch for a model whose neck gives `neck_channels` at its levels."""
        ...


class DeepSupervision(nn.Module):
    """Heads straight on the backbone's maps ("PFH" in table 4)."""

    def __init__(self, spec: GelanSpec, neck_channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = spec.levels
        self.channels = spec.level_channels

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Pass the backbone's levels on."""
        return at_levels(auxiliary, self.levels)


class FeaturePyramid(nn.Module):
    """An FPN of its own on the backbone: the published branch of T, S and E."""

    def __init__(self, spec: GelanSpec, neck_channels: Sequence[int]) -> None:
        super().__init__()
        self.fpn = TopDown(spec)
        self.channels = self.fpn.channels

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Read the backbone, give its levels."""
        return self.fpn(auxiliary)


class PathAggregationBranch(nn.Module):
    """An FPN and a bottom-up path of its own on the backbone."""

    def __init__(self, spec: GelanSpec, neck_channels: Sequence[int]) -> None:
        super().__init__()
        self.pan = PathAggregation(spec)
        self.channels = self.pan.channels

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Read the backbone, give its levels."""
        return self.pan(auxiliary)


class _Integrative(nn.Module):
    """A second column from the image, with DHLC links from the levels of the main branch.

    `width` is the column's, as a share of the backbone's: 1 as published.
    """

    def __init__(
        self, spec: GelanSpec, source_channels: Sequence[int], width: PositiveFloat = 1.0
    ) -> None:
        super().__init__()
        second = spec.of_width(width)
        self.levels = spec.levels
        targets = {level: second.link_channels[level] for level in self.levels}
        self.links = DHLC(dict(zip(self.levels, source_channels, strict=True)), targets)
        self.column = Column(second, deepest=self.levels[-1])
        self.channels = second.level_channels

    def integrate(self, image: Tensor, sources: Pyramid) -> Pyramid:
        links = self.links(dict(zip(self.levels, sources, strict=True)))
        maps: Pyramid = self.column(image, links)
        return maps[self.levels[0] - 1 :]


class IntegrativeNetwork(_Integrative):
    """Auxiliary reversible branch with integrative network on the backbone ("ICN"): M and C."""

    def __init__(
        self, spec: GelanSpec, neck_channels: Sequence[int], width: PositiveFloat = 1.0
    ) -> None:
        super().__init__(spec, spec.level_channels, width)

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Read the image and the backbone, give the levels of its own column."""
        return self.integrate(image, at_levels(auxiliary, self.levels))


class NeckIntegrativeNetwork(_Integrative):
    """The same, linked to the neck's outputs instead (the paper's G_neck, table 4)."""

    def __init__(
        self, spec: GelanSpec, neck_channels: Sequence[int], width: PositiveFloat = 1.0
    ) -> None:
        super().__init__(spec, neck_channels, width)

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Read the image and the neck, give the levels of its own column."""
        return self.integrate(image, neck)


class SecondHead(nn.Module):
    """The neck's own outputs, for a head beside the main one ("coarse" and "fine", yolov9_cf).

    The main head learns from many anchors an object and needs non-maximum suppression; this one,
    given a one-to-one assignment, does without. It reads exactly what the main head reads, so
    `Detector.deploy` can keep it in the main head's place. As published its gradient goes on into
    neck and backbone; with `detach` it stops there, as YOLOv10's does (arXiv 2405.14458).
    """

    def __init__(self, spec: GelanSpec, neck_channels: Sequence[int], detach: bool = False) -> None:
        super().__init__()
        self.channels = tuple(neck_channels)
        self.detach = detach

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Pass the neck's levels on."""
        return tuple(x.detach() for x in neck) if self.detach else neck


class AssignGuidance(nn.Module):
    """A second neck, joined with the neck: NanoDet-Plus's assign guidance module (AGM).

    Its head sees more than the main one and so learns faster; told so (`DetectionLoss(guide=...)`)
    its predictions assign the main head's targets. Of NanoDet-Plus's (RangiLyu/nanodet) are the
    neck of its own on the backbone and the concatenation with the neck's levels. A 1x1 convolution
    then takes them to the neck's channels, so that its head is as large as the main one; there it
    is twice as wide, with four convolutions that all levels share.
    """

    def __init__(self, spec: GelanSpec, neck_channels: Sequence[int]) -> None:
        super().__init__()
        self.neck = PathAggregation(spec)
        self.channels = tuple(neck_channels)
        self.join = nn.ModuleList(
            Conv(own + other, other)
            for own, other in zip(self.neck.channels, neck_channels, strict=True)
        )

    def forward(self, image: Tensor, auxiliary: Pyramid, neck: Pyramid) -> Pyramid:
        """Read the backbone and the neck, give their levels."""
        both = zip(self.join, self.neck(auxiliary), neck, strict=True)
        return tuple(join(torch.cat(maps, dim=1)) for join, *maps in both)
