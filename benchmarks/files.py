"""Milliseconds of a forward of checkpoints and exported files, each in its own runtime."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.table import Table

from benchmarks.deployed import Forward, ms_per_image
from benchmarks.turns import Measure, Turns, in_turns, ratio
from yolov9_lit.checks import path_argument
from yolov9_lit.errors import UserError
from yolov9_lit.inference.predictor import Predictor, load
from yolov9_lit.kinds import Amount, InputSide, PathText, PositiveInt


@dataclass(frozen=True)
class FilesBenchmark:
    """Measures files on the CPU, a checkpoint in PyTorch (eager, deployed).

    Attributes:
        files: checkpoints and exported files; each is compared with the first.
        image_size: pixels of a side.
        batch: number of images in a batch.
        least_seconds: that a round of a file takes at least.
        rounds: in which they take turns.
    """

    files: Sequence[PathText]
    image_size: InputSide
    batch: PositiveInt
    least_seconds: Amount
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        if not self.files:
            raise UserError("what.files is empty: give some, such as what.files=[best.ckpt,x.xml].")
        paths = {file: str(path_argument("what.files", file)) for file in self.files}
        starts = {file: partial(self._start, path) for file, path in paths.items()}
        turns = in_turns(starts, self.rounds)
        first = turns.figures[self.files[0]]
        ratios = {file: ratio(first, ms) for file, ms in turns.figures.items()}
        return [_table(turns, {file: str(found) for file, found in ratios.items()})], {
            "image_size": self.image_size,
            "batch": self.batch,
            "rounds": self.rounds,
            "ms_per_image": turns.figures,
            "ratio": {file: found._asdict() for file, found in ratios.items()},
            "peak_mb": turns.peak_mb,
        }

    def _start(self, path: str) -> Measure:
        images = torch.rand(self.batch, self.image_size, self.image_size, 3).permute(0, 3, 1, 2)
        measure = partial(ms_per_image, _forward(path), images, self.least_seconds)
        measure()
        return measure


def _forward(path: str) -> Forward:
    deployed = load(path).deploy()
    if isinstance(deployed, Predictor):
        return lambda images: deployed.decode(deployed(images).main)
    return deployed


def _table(turns: Turns, ratios: Mapping[str, str]) -> Table:
    table = Table("file", title="A forward of each file, ms an image", title_justify="left")
    for name in ("median", "least", "most", "first / it", "peak MB"):
        table.add_column(name, justify="right")
    for file, ms in turns.figures.items():
        told = [f"{figure:.2f}" for figure in (statistics.median(ms), min(ms), max(ms))]
        table.add_row(file, *told, ratios[file], f"{turns.peak_mb[file]:.0f}")
    return table
