"""PlainNet, ResNet and CSPNet backbones of chosen depth (YOLOv9 paper, section 5.5, figure 6).

The paper sends an image through each of them with random weights, 50 to 200 layers deep, and shows
what is left of it. They have GELAN's levels and widths, so they also fit every neck and PGI branch:
a detector with one of them differs from GELAN in its backbone alone.

GELAN itself is deepened by `csp_depth`: two branches a stage and csp_depth 1, 4, 7, 10 make columns
of 53, 101, 149 and 197 layers where P2
is no plain stage. `DeepGELAN` finds it for a depth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from yolov9_lit.models.blocks import BlockFactory, ConvBlock, CSPBlock, ResBlock
from yolov9_lit.models.gelan import Backbone, BackboneOutput, GelanSpec
from yolov9_lit.models.layers import Conv


class DeepBackbone(nn.Module):
    """Five strided 3x3 convolutions, each but the first followed by a block of equal width.

    Attributes:
        block: the kind of block, repeated inside by its `depth`.
        unit_layers: layers that each repetition adds to the path from the image to P5.
        extra_layers: layers of a block besides its repetitions.
        depth: layers on the longest path from the image to P5.
    """

    block: ClassVar[BlockFactory]
    unit_layers: ClassVar[int]
    extra_layers: ClassVar[int] = 0

    def __init__(self, spec: GelanSpec, depth: int) -> None:
        """Build the levels; the deeper ones take what does not divide by four.

        Args:
            spec: model whose widths it takes.
            depth: most layers from the image to P5; a block's repetitions rarely fill it exactly.

        Raises:
            ValueError: the depth is too small for one repetition at each level.
        """
        super().__init__()
        channels = spec.column_channels
        blocks = len(channels) - 1
        fixed = len(channels) + blocks * self.extra_layers
        repeats = (depth - fixed) // self.unit_layers
        if repeats < blocks:
            least = fixed + blocks * self.unit_layers
            raise ValueError(f"depth is {depth}, it must be at least {least}")
        self.depth = fixed + repeats * self.unit_layers
        inputs = (spec.in_channels, *channels[:-1])
        self.downs = nn.ModuleList(Conv(a, b, 3, 2) for a, b in zip(inputs, channels, strict=True))
        self.blocks = nn.ModuleList([nn.Identity()])
        for index, width in enumerate(channels[1:]):
            self.blocks.append(type(self).block(width, width, (repeats + index) // blocks))

    def forward(self, image: Tensor) -> BackboneOutput:
        """(B, in_channels, H, W), H and W multiples of 32 -> feature maps."""
        x, outputs = image, []
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(down(x))
            outputs.append(x)
        return BackboneOutput(tuple(outputs), tuple(outputs))


class PlainNet(DeepBackbone):
    """A chain of 3x3 convolutions."""

    block = ConvBlock
    unit_layers = 1


class ResNet(DeepBackbone):
    """Residual bottlenecks (arXiv 1512.03385)."""

    block = ResBlock
    unit_layers = 3


class CSPNet(DeepBackbone):
    """At each level a split, one half through residual units (arXiv 1911.11929)."""

    block = CSPBlock
    unit_layers = 2
    extra_layers = 2


class DeepGELAN(Backbone):
    """GELAN with CSP blocks at P2 to P5, deepened by `csp_depth` to the nearest depth.

    Attributes:
        depth: layers on the longest path from the image to P5.
    """

    def __init__(self, spec: GelanSpec, depth: int) -> None:
        """Build the column; P2 is as deep as the others, in the small models too.

        Args:
            spec: model whose widths and `elan_depth` it takes.
            depth: layers from the image to P5; each step of `csp_depth` adds many.

        Raises:
            ValueError: the depth is too small for a `csp_depth` of 1.
        """
        downs, stages = len(spec.column_channels), len(spec.column_channels) - 1
        # A stage has a split and a merge, a branch two projections and a convolution.
        fixed = downs + stages * (2 + 3 * spec.elan_depth)
        step = 2 * spec.elan_depth * stages
        csp_depth = round((depth - fixed) / step)
        if csp_depth < 1:
            raise ValueError(f"depth is {depth}, it must be at least {fixed + step - step // 2}")
        deepened = replace(spec, block=CSPBlock, csp_depth=csp_depth, plain_p2=False)
        super().__init__(deepened)
        self.depth = fixed + step * csp_depth
