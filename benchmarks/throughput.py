"""What a device does in a second, and which share of its peak that is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from rich.table import Table

_PEAKS = {
    r"NVIDIA A100-.*": 312.0,
    r"NVIDIA H100 PCIe": 756.0,
    r"NVIDIA H100 80GB HBM3": 989.0,
    r"NVIDIA H200": 989.0,
    r"NVIDIA GeForce RTX 4090": 165.2,
    r"NVIDIA L4": 121.0,
    r"Tesla T4": 65.0,
}
"""TFLOP/s of tensor cores in 16 bits, added up in 32, without sparsity, by CUDA's name.

As NVIDIA's data sheets of these cards and its white paper on Ada print them. A part of a card
(MIG) has another name, and no entry.
"""


class Throughput(NamedTuple):
    """Speed of a contender and its memory.

    Attributes:
        images_per_second: of its median round.
        gflops_per_second: of the model alone, nothing counted that is computed twice.
        utilisation: share of the GPU's peak in 16 bits that these are; None where it is not known.
        peak_mb: most memory, see `turns.Turns`.
    """

    images_per_second: float
    gflops_per_second: float
    utilisation: float | None
    peak_mb: float

    @classmethod
    def of(cls, seconds: float, gflops: float, peak_mb: float) -> Throughput:
        """Compute it from an image's seconds and GFLOPs on this machine's GPU, or else CPU."""
        done = gflops / seconds
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        return cls(1 / seconds, done, utilisation(done, name), peak_mb)


def utilisation(gflops_per_second: float, gpu: str | None) -> float | None:
    """Return the share of a GPU's peak; None for a CPU (no name) and an unknown GPU."""
    peaks = (peak for pattern, peak in _PEAKS.items() if re.fullmatch(pattern, gpu or ""))
    return next((gflops_per_second / (1000 * peak) for peak in peaks), None)


def throughput_table(reached: Mapping[str, Mapping[str, Throughput]]) -> Table:
    """Show the throughput by what was computed and by package."""
    table = Table("of", "package", title="Throughput", title_justify="left")
    for name in ("images/s", "GFLOP/s", "MFU", "peak MB"):
        table.add_column(name, justify="right")
    for of, packages in reached.items():
        for package, one in packages.items():
            share = "" if one.utilisation is None else f"{one.utilisation:.1%}"
            rates = (f"{one.images_per_second:.1f}", f"{one.gflops_per_second:,.1f}")
            table.add_row(of, package, *rates, share, f"{one.peak_mb:,.0f}")
    return table
