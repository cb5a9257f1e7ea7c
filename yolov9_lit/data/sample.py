"""One training image with its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolov9_lit.data.polygons import FlatPolygons


@dataclass(frozen=True)
class Sample:
    """An image and its K objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (K, 4) float32 xyxy in pixels.
        labels: (K,) int64 class indices.
        polygons: for each object its outlines, (P, 2) float32 xy in pixels; none where unknown.
            Any sequence of sequences may be given: it is packed.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    polygons: FlatPolygons

    def __post_init__(self) -> None:
        """Pack the polygons."""
        if not isinstance(self.polygons, FlatPolygons):
            object.__setattr__(self, "polygons", FlatPolygons.pack(self.polygons))

    def keep(self, mask: np.ndarray) -> Sample:
        """The objects where `mask` (K,) is True."""
        if mask.all():
            return self
        return self.with_objects(self.boxes[mask], self.labels[mask], self.polygons.take(mask))

    def with_objects(self, boxes: np.ndarray, labels: np.ndarray, polygons: FlatPolygons) -> Sample:
        """This image with other objects."""
        return Sample(self.image, boxes, labels, polygons)

    def with_objects_of(self, others: Sequence[Sample]) -> Sample:
        """This image with the other samples' objects added, their coordinates unchanged."""
        samples = (self, *others)
        return self.with_objects(
            np.concatenate([s.boxes for s in samples]),
            np.concatenate([s.labels for s in samples]),
            FlatPolygons.joined([s.polygons for s in samples]),
        )


def moved(sample: Sample, image: np.ndarray, x: float, y: float) -> Sample:
    """The objects shifted by (x, y) pixels, on another image."""
    shift = np.array([x, y], dtype=np.float32)
    return Sample(
        image=image,
        boxes=(sample.boxes.reshape(-1, 2, 2) + shift).reshape(-1, 4),
        labels=sample.labels,
        polygons=sample.polygons.at(sample.polygons.points + shift),
    )


def clipped(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes (K, 4) xyxy cut at the edges of an image of that size."""
    return np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
