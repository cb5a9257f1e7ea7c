"""Images per second and core of the training loaders, and memory over epochs.

Three cases: "cold", files that must be read from disk; "warm", files that the system has in memory;
"memory", the decoded images in memory.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from rich.table import Table

from benchmarks.layout import Layout, lay_out
from benchmarks.loaders import Batches, find_loaders, single_threaded
from benchmarks.memory import memory_by_epoch
from yolov9_lit.checks import existing_folder
from yolov9_lit.errors import UserError
from yolov9_lit.kinds import Count, PathText, PositiveInt


class Speed(NamedTuple):
    """Images a second of this process's CPU time, and of wall-clock time."""

    cpu: float
    wall: float


@dataclass
class LoadingBenchmark:
    """Measures loaders on the same images in turns, in one process of one thread.

    Attributes:
        data: config of the data module; its training images are read.
        published: folder of a clone of the published repository; None to leave it out.
        copies: of each image, so many that no file comes twice in what is read from disk.
        copies_in_memory: the same where decoded images are in memory, of every loader.
        warm_up: images that each loader reads before, to fill its buffers as in a long run; one
            batch where the images are in memory.
        images: read by each loader a round; whole pools of partners, so that this package's
            decodes each image once, as in an epoch.
        rounds: of which the median counts.
        memory_epochs: epochs after which memory is measured; 0 for none.
        memory_workers: processes in these epochs.
    """

    data: DictConfig
    published: PathText | None
    copies: PositiveInt
    copies_in_memory: PositiveInt
    warm_up: Count
    images: PositiveInt
    rounds: PositiveInt
    memory_epochs: Count
    memory_workers: Count

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return tables and the same figures for JSON."""
        if self.images % self.data.batch_size:
            raise UserError(
                f"what.images={self.images} is not valid: give a multiple of data.batch_size, "
                f"{self.data.batch_size}."
            )
        with tempfile.TemporaryDirectory() as folder:
            large = self._lay_out(Path(folder) / "large", self.copies)
            small = self._lay_out(Path(folder) / "small", self.copies_in_memory)
            memory = memory_by_epoch(small, self.data, self.memory_epochs, self.memory_workers)
            speeds = self._speeds(large, small)
        figures = {
            "image_size": self.data.image_size,
            "images": self.images,
            "rounds": self.rounds,
            "images_per_second": {
                name: {case: _summary(measured) for case, measured in cases.items()}
                for name, cases in speeds.items()
            },
            "memory_mb": memory,
        }
        return [_speed_table(speeds), _memory_table(memory)], figures

    def _lay_out(self, folder: Path, copies: int) -> Layout:
        folder.mkdir()
        root = existing_folder("data.root", Path(self.data.root).expanduser())
        annotations, images = root / self.data.train_annotations, root / self.data.train_images
        return lay_out(annotations, images, folder, copies)

    def _speeds(self, large: Layout, small: Layout) -> dict[str, dict[str, list[Speed]]]:
        layouts = {"cold": large, "warm": large, "memory": small}
        loaders = find_loaders(self.data, self.published)
        running = {
            (case, loader.name): _endless(loader.start(layouts[case], case == "memory"))
            for case, loader in itertools.product(layouts, loaders)
        }
        single_threaded()
        for (case, _), batches in running.items():
            self._read(batches, self.data.batch_size if case == "memory" else self.warm_up)
        speeds: dict[str, dict[str, list[Speed]]] = {
            loader.name: {case: [] for case in layouts} for loader in loaders
        }
        for _ in range(self.rounds):
            for (case, name), batches in running.items():
                if case == "cold":
                    large.forget_pages()
                speeds[name][case].append(self._read(batches, self.images))
        return speeds

    def _read(self, batches: Iterator[Any], images: int) -> Speed:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in itertools.islice(batches, images // self.data.batch_size):
            pass
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return Speed(images / cpu, images / wall)


def _endless(batches: Batches) -> Iterator[Any]:
    while True:
        yield from batches


def _summary(speeds: Sequence[Speed]) -> dict[str, float]:
    cpu, wall = np.array(speeds).T
    return {
        "cpu": round(float(np.median(cpu)), 2),
        "cpu_least": round(float(cpu.min()), 2),
        "cpu_most": round(float(cpu.max()), 2),
        "wall": round(float(np.median(wall)), 2),
    }


def _speed_table(speeds: Mapping[str, Mapping[str, Sequence[Speed]]]) -> Table:
    (first, *_) = speeds.values()
    title = "Images per CPU second: median (least .. most), ours / it"
    table = Table("loader", *first, title=title)
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
