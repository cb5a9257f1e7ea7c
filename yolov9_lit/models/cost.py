"""Parameters and GFLOPs of a detector, as the paper counts them."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from yolov9_lit.models.detector import Detector

IMAGE_SIZE = 640
"""Side in pixels of the square image at which the paper counts."""


class Cost(NamedTuple):
    """Size and work of a network.

    Attributes:
        params: number of parameters.
        gflops: 2 x multiply-adds of one image, in 1e9.
    """

    params: int
    gflops: float


class DetectorCost(NamedTuple):
    """A detector's cost in training form, in deploy form, and its parameters by part.

    Attributes:
        trained: all branches, nothing fused.
        deployed: the main branch alone, fused.
        parts: trained parameters by part.
    """

    trained: Cost
    deployed: Cost
    parts: dict[str, int]

    def figures(self) -> dict[str, float]:
        """For records: "train_params" and "train_gflops", and the deploy form's without "train"."""
        return {
            "train_params": self.trained.params,
            "train_gflops": self.trained.gflops,
            "params": self.deployed.params,
            "gflops": self.deployed.gflops,
        }


def count_parameters(module: nn.Module) -> int:
    """Count the parameters."""
    return sum(p.numel() for p in module.parameters())


def detector_cost(
    detector: Detector, image_size: int = IMAGE_SIZE, in_channels: int = 3
) -> DetectorCost:
    """Count with torch's own FLOP counter, on the meta device: nothing is computed.

    Args:
        detector: any form.
        image_size: side of the square image in pixels, a multiple of 32.
        in_channels: channels of the image.
    """
    parts = {
        "backbone": count_parameters(detector.backbone),
        "neck": count_parameters(detector.neck),
        "head": count_parameters(detector.head),
    }
    for name, branch in detector.aux_branches.items():
        parts[f"pgi {name}"] = count_parameters(branch) + count_parameters(detector.aux_heads[name])
    shape = (1, in_channels, image_size, image_size)
    return DetectorCost(
        trained=_cost(copy.deepcopy(detector), shape),
        deployed=_cost(detector.deploy(), shape),
        parts=parts,
    )


@torch.no_grad()
def _cost(module: nn.Module, shape: tuple[int, ...]) -> Cost:
    module = module.eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(shape, device="meta"))
    return Cost(count_parameters(module), counter.get_total_flops() / 1e9)


def cost_table(cost: DetectorCost, image_size: int) -> Table:
    """Show parameters by part and, of both forms, the total and GFLOPs at a size in pixels."""
    table = Table(title="Model", title_justify="left")
    table.add_column("part")
    table.add_column("parameters", justify="right")
    table.add_column(f"GFLOPs at {image_size}", justify="right")
    for name, params in cost.parts.items():
        table.add_row(name, f"{params:,}", "")
    table.add_section()
    for name, form in (("as trained", cost.trained), ("deployed", cost.deployed)):
        table.add_row(name, f"{form.params:,}", f"{form.gflops:.1f}")
    return table
