"""Memory of this package's loader and its workers, epoch by epoch."""

from __future__ import annotations

from typing import Any

import psutil
from omegaconf import DictConfig

from benchmarks.layout import Layout
from benchmarks.loaders import our_loader


def memory_by_epoch(layout: Layout, data: DictConfig, epochs: int, workers: int) -> list[float]:
    """Return the MB in use after each epoch."""
    loader = our_loader(layout, data, num_workers=workers)
    sampler: Any = loader.sampler
    used = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for _ in loader:
            pass
        used.append(process_memory())
    return used


def process_memory() -> float:
    """Return the MB of this process and its children; shared memory counts once (PSS)."""
    this = psutil.Process()
    return sum(p.memory_full_info().pss for p in (this, *this.children(recursive=True))) / 2**20
