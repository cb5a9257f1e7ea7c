"""Non-maximum suppression: milliseconds an image, beside Ultralytics', on outputs made up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from benchmarks.peers import ultralytics_is_there, ultralytics_module
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression
from yolov9_lit.kinds import InputSide, PositiveInt, Share
from yolov9_lit.structures import Detections

_STRIDES = (8, 16, 32)
_LATEST = 600.0  # Seconds for an image after which Ultralytics gives up: never.


@dataclass(frozen=True)
class NMSBenchmark:
    """Times both on the same outputs in one thread, in turns.

    Attributes:
        images: in a batch.
        image_size: in pixels.
        objects: of an image.
        classes: of the outputs.
        confidence: candidates score more than this.
        iou: of the suppression.
        rounds: of which the median counts.
    """

    images: PositiveInt
    image_size: InputSide
    objects: PositiveInt
    classes: PositiveInt
    confidence: Share
    iou: Share
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        torch.set_num_threads(1)
        boxes, scores = self._outputs(torch.Generator().manual_seed(0))
        settings = NMSSettings(self.confidence, self.iou)
        kinds = {"yolov9_lit": lambda: non_max_suppression(boxes, scores, settings)}
        if theirs := _ultralytics(boxes, scores, settings):
            kinds["ultralytics"] = theirs
        found = {name: run() for name, run in kinds.items()}  # Not timed: the first call.
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(self.rounds):
            for name, run in kinds.items():
                start = time.process_time()
                run()
                times[name].append(1000 * (time.process_time() - start) / self.images)
        figures = {
            "candidates": int((scores > self.confidence).sum()) / self.images,
            "ms": {name: _summary(values) for name, values in times.items()},
            "shared": {n: _shared(found["yolov9_lit"], other) for n, other in found.items()},
        }
        return [_table(figures)], figures

    def _outputs(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return boxes (B, A, 4) xyxy and scores (B, A, C) like a trained detector's.

        Anchors in the middle of an object agree on its box and class, the better the nearer they
        are; the others have boxes of any kind. All have small scores for all classes.
        """
        points = torch.cat([self._points(stride) for stride in _STRIDES])
        count = len(points)
        boxes, scores = [], []
        for _ in range(self.images):
            centres = torch.rand(self.objects, 2, generator=rng) * self.image_size
            sizes = torch.rand(self.objects, 2, generator=rng) * self.image_size / 3 + 16
            labels = torch.randint(self.classes, (self.objects,), generator=rng)
            distance, nearest = ((points[:, None] - centres) / sizes).norm(dim=-1).min(dim=1)
            near = (distance < 0.5)[:, None]
            noise = 0.05 * torch.randn(count, 4, generator=rng)
            any_size = torch.rand(count, 2, generator=rng) * 100 + 8
            size = torch.where(near, sizes[nearest] * (1 + noise[:, 2:]), any_size)
            centre = torch.where(near, centres[nearest] + noise[:, :2] * sizes[nearest], points)
            logits = 1.3 * torch.randn(count, self.classes, generator=rng) - 9.5
            logits[torch.arange(count), labels[nearest]] += (6 - 8 * distance).clamp(min=0)
            boxes.append(torch.cat((centre - size / 2, centre + size / 2), dim=1))
            scores.append(logits.sigmoid())
        return torch.stack(boxes), torch.stack(scores)

    def _points(self, stride: int) -> Tensor:
        at = torch.arange(stride / 2, self.image_size, stride)
        return torch.cartesian_prod(at, at)


def _ultralytics(
    boxes: Tensor, scores: Tensor, settings: NMSSettings
) -> Callable[[], list[Detections]] | None:
    """Return its suppression of the same outputs; None where it is not installed."""
    if not ultralytics_is_there():
        return None
    suppress = ultralytics_module("ultralytics.utils.nms").non_max_suppression
    low, high = boxes[..., :2], boxes[..., 2:]
    outputs = torch.cat(((low + high) / 2, high - low, scores), dim=-1).transpose(1, 2).contiguous()

    def run() -> list[Detections]:
        rows = suppress(
            outputs,
            settings.confidence,
            settings.iou,
            multi_label=settings.multi_label,
            max_det=settings.max_detections,
            max_nms=settings.max_candidates,
            max_time_img=_LATEST,
        )
        return [Detections(row[:, :4], row[:, 4], row[:, 5]) for row in rows]

    return run


def _shared(ours: Sequence[Detections], theirs: Sequence[Detections]) -> float:
    """Return which share of our detections the other found too, with the same score and class."""
    shared = [
        {*zip(a.scores.tolist(), a.labels.tolist(), strict=True)}
        & {*zip(b.scores.tolist(), b.labels.tolist(), strict=True)}
        for a, b in zip(ours, theirs, strict=True)
    ]
    return sum(map(len, shared)) / sum(len(a.scores) for a in ours)


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _table(figures: Mapping[str, Any]) -> Table:
    title = f"NMS of {figures['candidates']:,.0f} candidates, ms an image"
    table = Table(title=title, title_justify="left")
    for name in ("by", "median", "least", "most", "shared"):
        table.add_column(name, justify="left" if name == "by" else "right")
    for name, row in figures["ms"].items():
        times = (f"{row[key]:.2f}" for key in ("median", "least", "most"))
        table.add_row(name, *times, f"{figures['shared'][name]:.2%}")
    return table
