"""One training picture with its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Polygons = tuple[tuple[np.ndarray, ...], ...]
"""For each object its outlines, (P, 2) float32 xy in pixels; none where unknown."""


@dataclass(frozen=True)
class Sample:
    """A picture and its K objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (K, 4) float32 xyxy in pixels.
        labels: (K,) int64 class indices.
        polygons: K entries.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    polygons: Polygons

    def keep(self, mask: np.ndarray) -> Sample:
        """The objects where `mask` (K,) is True."""
        polygons = tuple(p for p, kept in zip(self.polygons, mask, strict=True) if kept)
        return replace(self, boxes=self.boxes[mask], labels=self.labels[mask], polygons=polygons)

    def with_objects_of(self, others: Sequence[Sample]) -> Sample:
        """This picture with the other samples' objects added, their coordinates unchanged."""
        samples = (self, *others)
        return replace(
            self,
            boxes=np.concatenate([s.boxes for s in samples]),
            labels=np.concatenate([s.labels for s in samples]),
            polygons=tuple(p for s in samples for p in s.polygons),
        )


def moved(sample: Sample, image: np.ndarray, x: float, y: float) -> Sample:
    """The objects shifted by (x, y) pixels, on another image."""
    shift = np.array([x, y], dtype=np.float32)
    return Sample(
        image=image,
        boxes=sample.boxes + np.tile(shift, 2),
        labels=sample.labels,
        polygons=tuple(tuple(points + shift for points in p) for p in sample.polygons),
    )


def clipped(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes (K, 4) xyxy cut at the edges of an image of that size."""
    return np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
