"""Images per second and core of the training loaders, and memory over epochs."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from rich.table import Table

from yolov9_lit.research.bench.layout import Layout, lay_out
from yolov9_lit.research.bench.loaders import Loader, find_loaders, single_threaded
from yolov9_lit.research.bench.memory import memory_by_epoch

CASES = ("cold", "warm", "memory")
"""Files to be read from disk; files the system has in memory; decoded pictures in memory."""


class Speed(NamedTuple):
    """Images a second: of this process's CPU time, and as the clock on the wall says."""

    cpu: float
    wall: float


@dataclass
class LoadingBenchmark:
    """Measures loaders on the same pictures in turns, in one process of one thread.

    Every round begins with a fresh loader, which remembers no picture, and reads `images` of them.

    Attributes:
        data: config of the data module; its training pictures are read.
        published: folder of a clone of the published repository; None to leave it out.
        copies: names that each picture goes by.
        images: read by each loader a round; whole pools of partners, so that ours pays for each
            picture once, as in an epoch.
        rounds: of which the median counts.
        memory_epochs: epochs over which memory is told; 0 for none.
        memory_workers: processes in these epochs.
    """

    data: DictConfig
    published: str | None
    copies: int
    images: int
    rounds: int
    memory_epochs: int
    memory_workers: int

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Tables, and the same figures for JSON."""
        root = Path(self.data.root).expanduser()
        annotations, images = root / self.data.train_annotations, root / self.data.train_images
        with tempfile.TemporaryDirectory() as folder:
            layout = lay_out(annotations, images, Path(folder), self.copies)
            memory = memory_by_epoch(layout, self.data, self.memory_epochs, self.memory_workers)
            speeds = self._speeds(layout)
        figures = {
            "image_size": self.data.image_size,
            "images": self.images,
            "rounds": self.rounds,
            "loaders": {
                name: {case: _summary(measured) for case, measured in cases.items()}
                for name, cases in speeds.items()
            },
            "memory_mb": memory,
        }
        return [_speed_table(speeds), _memory_table(memory)], figures

    def _speeds(self, layout: Layout) -> dict[str, dict[str, list[Speed]]]:
        loaders = find_loaders(layout, self.data, self.published)
        speeds: dict[str, dict[str, list[Speed]]] = {
            loader.name: {case: [] for case in CASES} for loader in loaders
        }
        for _ in range(self.rounds):
            for case, loader in itertools.product(CASES, loaders):
                speeds[loader.name][case].append(self._speed(layout, case, loader))
        return speeds

    def _speed(self, layout: Layout, case: str, loader: Loader) -> Speed:
        batches = iter(loader.start(case == "memory"))
        single_threaded()
        if case == "cold":
            layout.forget_pages()
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in itertools.islice(batches, self.images // self.data.batch_size):
            pass
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return Speed(self.images / cpu, self.images / wall)


def _summary(speeds: Sequence[Speed]) -> dict[str, float]:
    cpu, wall = np.array(speeds).T
    return {
        "cpu": round(float(np.median(cpu)), 2),
        "cpu_least": round(float(cpu.min()), 2),
        "cpu_most": round(float(cpu.max()), 2),
        "wall": round(float(np.median(wall)), 2),
    }


def _speed_table(speeds: Mapping[str, Mapping[str, Sequence[Speed]]]) -> Table:
    table = Table(
        "loader", *CASES, title="Images per CPU second: median (least .. most), ours / it"
    )
    (first, *_) = speeds.values()
    for name, cases in speeds.items():
        cells = []
        for case, measured in cases.items():
            own, it = _summary(first[case]), _summary(measured)
            spread = f"({it['cpu_least']:.0f} .. {it['cpu_most']:.0f})"
            cells.append(f"{it['cpu']:.1f} {spread} {own['cpu'] / it['cpu']:.2f}x")
        table.add_row(name, *cells)
    return table


def _memory_table(memory: Sequence[float]) -> Table:
    table = Table(title="Memory of process and workers after each epoch, MB")
    for epoch in range(len(memory)):
        table.add_column(str(epoch))
    table.add_row(*(f"{used:,.0f}" for used in memory))
    return table
