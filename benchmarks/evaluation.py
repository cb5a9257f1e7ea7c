"""COCO evaluation: seconds and memory of the metric by backend, on detections made up."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.table import Table

from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.kinds import PositiveInt
from yolov9_lit.memory import peak_bytes
from yolov9_lit.structures import Detections

_BATCH = 16


class Measured(NamedTuple):
    """One evaluation.

    Attributes:
        seconds: of adding the detections and computing the figures.
        to_json: seconds of writing them in COCO's results format.
        peak_mb: most memory of the process until then, beyond what libraries and inputs take.
        figures: COCO's twelve.
    """

    seconds: float
    to_json: float
    peak_mb: float
    figures: dict[str, float]


@dataclass(frozen=True)
class EvaluationBenchmark:
    """Measures the metric's backends in turns, each evaluation in a process of its own.

    Attributes:
        backends: names in `evaluation.backends.BACKENDS`.
        images: number of images.
        objects: of an image, on average.
        detections: of each image.
        classes: of the data set.
        rounds: of which the median counts.
    """

    backends: Sequence[str]
    images: PositiveInt
    objects: PositiveInt
    detections: PositiveInt
    classes: PositiveInt
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        spawn = multiprocessing.get_context("spawn")
        found: dict[str, list[Measured]] = {name: [] for name in self.backends}
        for _ in range(self.rounds):
            for name, measured in found.items():
                with ProcessPoolExecutor(1, mp_context=spawn) as process:
                    measured.append(process.submit(self._evaluate, name).result())
        sizes = {key: getattr(self, key) for key in ("images", "objects", "detections", "classes")}
        return [_table(found)], {**sizes, "backends": {k: _summary(v) for k, v in found.items()}}

    def _evaluate(self, backend: str) -> Measured:
        torch.set_num_threads(1)
        rng = np.random.default_rng(0)
        truth = self._truth(rng)
        batches = list(self._batches(rng, truth))
        metric = CocoMetric(lambda: truth, range(1, self.classes + 1), backend=backend)  # type: ignore[arg-type]
        before, start = peak_bytes(), time.perf_counter()
        for ids, detections in batches:
            metric.update(detections, ids)
        figures = metric.compute().figures()
        computed = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            metric.detections().write(Path(folder) / "detections.json")
        written = time.perf_counter()
        peak_mb = (peak_bytes() - before) / 2**20
        return Measured(computed - start, written - computed, peak_mb, figures)

    def _truth(self, rng: np.random.Generator) -> dict[str, list[dict[str, Any]]]:
        count = self.images * self.objects
        boxes = np.column_stack([rng.uniform(0, 400, (count, 2)), rng.gamma(1.2, 60, (count, 2))])
        return {
            "images": [{"id": i, "width": 640, "height": 640} for i in range(self.images)],
            "categories": [{"id": c, "name": str(c)} for c in range(1, self.classes + 1)],
            "annotations": [
                {
                    "id": n + 1,
                    "image_id": n // self.objects,
                    "category_id": int(rng.integers(1, self.classes + 1)),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(rng.random() < 0.01),
                }
                for n, box in enumerate(boxes.tolist())
            ],
        }

    def _batches(
        self, rng: np.random.Generator, truth: Mapping[str, Any]
    ) -> Iterator[tuple[range, list[Detections]]]:
        """Yield image ids and detections: objects of the image, moved, many of another class."""
        boxes = np.array([entry["bbox"] for entry in truth["annotations"]])
        labels = np.array([entry["category_id"] - 1 for entry in truth["annotations"]])
        for first in range(0, self.images, _BATCH):
            ids = range(first, min(first + _BATCH, self.images))
            found = []
            for image in ids:
                drawn = image * self.objects + rng.integers(0, self.objects, self.detections)
                at = boxes[drawn] + rng.normal(0, 6, (self.detections, 4))
                at[:, 2:] = at[:, :2] + np.maximum(at[:, 2:], 1)
                right = rng.random(self.detections) < 0.7
                other = rng.integers(0, self.classes, self.detections)
                found.append(
                    Detections(
                        torch.tensor(at, dtype=torch.float32),
                        torch.tensor(rng.random(self.detections), dtype=torch.float32),
                        torch.tensor(np.where(right, labels[drawn], other)),
                    )
                )
            yield ids, found


def _summary(measured: Sequence[Measured]) -> dict[str, Any]:
    seconds = [one.seconds for one in measured]
    return {
        "seconds": statistics.median(seconds),
        "seconds_least": min(seconds),
        "seconds_most": max(seconds),
        "seconds_to_json": statistics.median(one.to_json for one in measured),
        "peak_mb": max(one.peak_mb for one in measured),
        "figures": measured[0].figures,
    }


def _table(found: Mapping[str, Sequence[Measured]]) -> Table:
    table = Table(title="COCO evaluation", title_justify="left")
    for name in ("backend", "seconds", "least", "most", "to JSON", "peak MB", "AP"):
        table.add_column(name, justify="left" if name == "backend" else "right")
    for name, measured in found.items():
        row = _summary(measured)
        seconds = (row["seconds"], row["seconds_least"], row["seconds_most"])
        table.add_row(
            name,
            *(f"{value:.2f}" for value in (*seconds, row["seconds_to_json"])),
            f"{row['peak_mb']:,.0f}",
            f"{100 * row['figures']['AP']:.3f}",
        )
    return table
