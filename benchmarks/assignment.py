"""Target assignment: seconds and memory against the number of objects in an image."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from rich.table import Table

from yolov9_lit.kinds import Count, InputSide, PositiveInt
from yolov9_lit.losses.assigners import TaskAlignedAssigner
from yolov9_lit.memory import peak_bytes
from yolov9_lit.models.head import anchor_points
from yolov9_lit.structures import Targets


class Cost(NamedTuple):
    """Of one assignment: median seconds, and memory at its peak beyond inputs and libraries."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class AssignmentBenchmark:
    """Measures the assigner on random boxes, each number of objects in a process of its own.

    Attributes:
        objects: numbers of objects of an image.
        images: of a batch.
        image_size: pixels of a side.
        classes: of the data set.
        rounds: of which the median counts.
    """

    objects: Sequence[Count]
    images: PositiveInt
    image_size: InputSide
    classes: PositiveInt
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        spawn = multiprocessing.get_context("spawn")
        costs = {}
        for objects in self.objects:
            with ProcessPoolExecutor(1, mp_context=spawn) as process:
                costs[objects] = process.submit(self._assign, objects).result()
        table = Table("objects", "seconds", "peak MB", title="Assignment", title_justify="left")
        for objects, cost in costs.items():
            table.add_row(f"{objects:,}", f"{cost.seconds:.3f}", f"{cost.peak_mb:,.0f}")
        sizes = {key: getattr(self, key) for key in ("images", "image_size", "classes", "rounds")}
        return [table], {**sizes, "objects": {n: cost._asdict() for n, cost in costs.items()}}

    def _assign(self, objects: int) -> Cost:
        side, random = self.image_size, torch.Generator().manual_seed(0)
        maps = [torch.empty(1, 1, side // stride, side // stride) for stride in (8, 16, 32)]
        points, strides = anchor_points(maps)
        shape = (self.images, len(points))
        reach = strides * (0.5 + 7 * torch.rand(*shape, 1, generator=random))
        boxes = torch.cat((points - reach, points + reach), dim=-1)
        probabilities = torch.rand(*shape, self.classes, generator=random)
        sizes = 8 + side / 3 * torch.rand(self.images, objects, 2, generator=random) ** 2
        corners = (side - sizes) * torch.rand(self.images, objects, 2, generator=random)
        labels = torch.randint(self.classes, (self.images, objects), generator=random)
        targets = Targets(torch.cat((corners, corners + sizes), dim=-1), labels, labels >= 0)
        before, seconds = peak_bytes(), []
        for _ in range(self.rounds):
            start = time.perf_counter()
            TaskAlignedAssigner()(boxes, probabilities, points, targets)
            seconds.append(time.perf_counter() - start)
        return Cost(statistics.median(seconds), (peak_bytes() - before) / 2**20)
