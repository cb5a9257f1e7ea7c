"""Seconds from a command to what its user waits for, beside Ultralytics' same commands."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.layout import Layout, lay_out
from benchmarks.peers import ultralytics_is_there
from benchmarks.start_commands import Command, Work, our_commands, their_commands
from benchmarks.turns import Measure, in_turns, ratio
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.kinds import Count, InputSide, PositiveInt

OURS, THEIRS = "yolov9_lit", "ultralytics"


@dataclass(frozen=True)
class StartBenchmark:
    """Measures commands on the CPU, each in a new interpreter, in turns.

    Attributes:
        model: option of the `model` group, a GELAN one: Ultralytics has no auxiliary branch.
        image_size: pixels of a side.
        batch_size: images of a step.
        workers: processes that read images.
        images: of the data set, which is drawn.
        rounds: in which the packages take turns.
    """

    model: str
    image_size: InputSide
    batch_size: PositiveInt
    workers: Count
    images: PositiveInt
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        with tempfile.TemporaryDirectory() as folder:
            contenders = self._contenders(Path(folder))
            found = {
                what: in_turns(starts, self.rounds).figures for what, starts in contenders.items()
            }
        names = ("model", "image_size", "batch_size", "workers", "images", "rounds")
        return [_table(found)], {
            **{name: getattr(self, name) for name in names},
            "seconds": found,
            "ratio": {
                what: ratio(seconds[OURS], seconds[THEIRS])._asdict()
                for what, seconds in found.items()
                if THEIRS in seconds
            },
        }

    def _contenders(self, folder: Path) -> dict[str, dict[str, Callable[[], Measure]]]:
        """Return each package's commands by what its user waits for."""
        data = self._lay_out(folder)
        work = Work(self.model, self.image_size, self.batch_size, self.workers, data)
        packages = {OURS: our_commands}
        if ultralytics_is_there():
            packages[THEIRS] = their_commands
        contenders: dict[str, dict[str, Callable[[], Measure]]] = {}
        for package, commands in packages.items():
            trained = folder / package
            trained.mkdir()
            for what, command in commands(work, trained).items():
                contenders.setdefault(what, {})[package] = partial(_start, command)
        return contenders

    def _lay_out(self, folder: Path) -> Layout:
        size = self.image_size
        shapes = make_shapes(folder / "shapes", train=self.images, val=0, image_size=size)
        (folder / "data").mkdir()
        annotations = shapes / "annotations/instances_train2017.json"
        return lay_out(annotations, shapes / "train2017", folder / "data", copies=1)


def _start(command: Command) -> Measure:
    command.seconds()  # Whatever is there only the first time.
    return command.seconds


def _table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    title = "Seconds from the command"
    table = Table("to", "package", title=title, title_justify="left")
    for name in ("median", "least", "most", "ours / it"):
        table.add_column(name, justify="right")
    for what, packages in found.items():
        for package, seconds in packages.items():
            summary = (statistics.median(seconds), min(seconds), max(seconds))
            compared = "" if package == OURS else str(ratio(packages[OURS], seconds))
            table.add_row(what, package, *(f"{value:.2f}" for value in summary), compared)
    return table
