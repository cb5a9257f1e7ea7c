"""The backbones that are probed: with random weights at a chosen depth, or trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import nn

from yolov9_lit.errors import UserError
from yolov9_lit.models.blocks import CSPBlock
from yolov9_lit.models.create import DOWNS, widths
from yolov9_lit.models.gelan import GelanSpec
from yolov9_lit.models.sizes import size_of
from yolov9_lit.weights.checkpoints import load_detector, read_checkpoint

Norm = Literal["batch", "running"]
"""Statistics by which batch normalisation normalises: of the images at hand, or its own averages.

With random weights the averages are 0 and 1, which normalises nothing.
"""


class DeepBackboneFactory(Protocol):
    """Makes a backbone of about a depth from a model's spec."""

    def __call__(self, spec: GelanSpec, depth: int) -> nn.Module:
        """Build a module from images to a BackboneOutput; its `depth` is the one reached."""
        ...


def random_backbone(
    factory: DeepBackboneFactory, size: str, depth: int, seed: int, norm: Norm
) -> nn.Module:
    """Build a backbone with the weights that a training starts from.

    Args:
        factory: the kind of backbone.
        size: model whose widths it takes, e.g. gelan_s.
        depth: layers from the image to P5, about.
        seed: of the weights; torch's own generator is left as it was.
        norm: statistics of batch normalisation.

    Raises:
        UserError: the size is unknown, or the depth cannot be built.
    """
    try:
        found = size_of(size)
        spec = GelanSpec(**widths(found), down=DOWNS[found.down], block=CSPBlock)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = factory(spec, depth)
    except ValueError as error:
        raise UserError(
            f"A backbone of figure.size={size}, figure.depths={depth} cannot be built: {error}."
        ) from error
    return backbone.train(norm == "batch")


def trained_backbone(path: str | Path) -> nn.Module:
    """Load the backbone of a checkpoint, in evaluation mode.

    Raises:
        UserError: there is no such checkpoint, or it cannot be used.
    """
    backbone = load_detector(read_checkpoint(path), path).backbone
    assert isinstance(backbone, nn.Module)
    return backbone
