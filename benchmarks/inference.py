"""Milliseconds of a deployed forward, boxes and scores of all anchors included, by package."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.deployed import (
    Forward,
    loaded_forward,
    ms_per_image,
    our_forward,
    published_forward,
    ultralytics_forward,
    write_weights,
)
from benchmarks.device import device_to_measure
from benchmarks.peers import require_clone, ultralytics_is_there
from benchmarks.throughput import Throughput, throughput_table
from benchmarks.turns import Measure, Turns, in_turns, ratio
from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.kinds import Amount, InputSide, PathText, PositiveInt
from yolov9_lit.models.cost import detector_cost
from yolov9_lit.weights.coco_classes import COCO_NAMES

OURS = "yolov9_lit"
SAME = "yolov9_lit, weights of ultralytics"
THEIRS = "ultralytics"
BESIDE = {THEIRS: SAME}
"""What another package is compared with: where it is not `OURS`, what has its very weights."""


@dataclass(frozen=True)
class InferenceBenchmark:
    """Measures this package's deployed forward beside those of the others that are there.

    Attributes:
        published: folder of a clone of the published repository; None to leave it out.
        models: options of the `model` group, GELAN ones.
        image_size: pixels of a side.
        batches: numbers of images in a batch.
        threads: of each process; None for torch's own choice.
        least_seconds: that a round of a package takes at least.
        rounds: in which they take turns.
    """

    published: PathText | None
    models: Sequence[str]
    image_size: InputSide
    batches: Sequence[PositiveInt]
    threads: PositiveInt | None
    least_seconds: Amount
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        turns: dict[str, dict[str, Turns]] = {}
        with tempfile.TemporaryDirectory() as folder:
            for model in self.models:
                forwards = self._forwards(model, Path(folder))
                turns[model] = {
                    str(batch): in_turns(
                        {
                            name: partial(self._start, make, batch, name in (OURS, SAME))
                            for name, make in forwards.items()
                        },
                        self.rounds,
                    )
                    for batch in self.batches
                }
        found = {
            model: {batch: measured.figures for batch, measured in batches.items()}
            for model, batches in turns.items()
        }
        reached = {model: _reached(model, self.image_size, turns[model]) for model in turns}
        by_case = {
            f"{model}, batch {batch}": packages
            for model, batches in reached.items()
            for batch, packages in batches.items()
        }
        return [self._table(found), throughput_table(by_case)], {
            "image_size": self.image_size,
            "threads": self.threads,
            "rounds": self.rounds,
            "ms_per_image": found,
            "throughput": {
                model: {
                    batch: {name: one._asdict() for name, one in packages.items()}
                    for batch, packages in batches.items()
                }
                for model, batches in reached.items()
            },
            "ratio": {
                model: {
                    batch: {
                        name: ratio(times[BESIDE.get(name, OURS)], times[name])._asdict()
                        for name in times
                        if name not in (OURS, SAME)
                    }
                    for batch, times in batches.items()
                }
                for model, batches in found.items()
            },
        }

    def _forwards(self, model: str, folder: Path) -> dict[str, Callable[[], Forward]]:
        forwards: dict[str, Callable[[], Forward]] = {OURS: partial(our_forward, model)}
        if ultralytics_is_there():
            path = str(write_weights(model, folder))
            forwards[SAME] = partial(loaded_forward, path)
            forwards[THEIRS] = partial(ultralytics_forward, path)
        if self.published is not None:
            require_clone("published", self.published, "models/detect")
            forwards["published"] = partial(published_forward, model, self.published)
        return forwards

    def _start(self, make: Callable[[], Forward], batch: int, channels_last: bool) -> Measure:
        if self.threads:
            torch.set_num_threads(self.threads)
        forward = make()
        device = device_to_measure()
        images = torch.rand(batch, self.image_size, self.image_size, 3, device=device)
        images = images.permute(0, 3, 1, 2)
        if not channels_last:  # As each package's own prediction gives it the images.
            images = images.contiguous()
        measure = partial(ms_per_image, forward, images, self.least_seconds)
        measure()
        return measure

    def _table(self, found: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> Table:
        table = Table("model", "batch", "package", title="A deployed forward", title_justify="left")
        for name in ("ms an image", "ours / it"):
            table.add_column(name, justify="right")
        for model, batches in found.items():
            for batch, times in batches.items():
                for name, measured in times.items():
                    beside = times[BESIDE.get(name, OURS)]
                    compared = "" if name in (OURS, SAME) else str(ratio(beside, measured))
                    median = f"{statistics.median(measured):.1f}"
                    table.add_row(model, batch, name, median, compared)
        return table


def _reached(
    model: str, image_size: int, batches: Mapping[str, Turns]
) -> dict[str, dict[str, Throughput]]:
    """Return the throughput by batch and package."""
    detector = build(compose("summary", [f"model={model}"]).model, num_classes=len(COCO_NAMES))
    gflops = detector_cost(detector, image_size).deployed.gflops
    return {
        batch: {
            name: Throughput.of(statistics.median(ms) / 1000, gflops, turns.peak_mb[name])
            for name, ms in turns.figures.items()
        }
        for batch, turns in batches.items()
    }
