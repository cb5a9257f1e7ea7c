"""The outlines of all objects of a data set in three flat arrays, without an object per polygon."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

_MIN_NUMBERS = 6  # A polygon has at least three corners of two numbers.


class FlatPolygons(NamedTuple):
    """M objects with Q polygons of P points in all.

    Attributes:
        points: (P, 2) float32, xy in pixels.
        point_offsets: (Q + 1,) int64; polygon q has points[point_offsets[q]:point_offsets[q + 1]].
        object_offsets: (M + 1,) int64; object m has the polygons from object_offsets[m] up to
            object_offsets[m + 1].
    """

    points: np.ndarray
    point_offsets: np.ndarray
    object_offsets: np.ndarray

    def of(self, index: int) -> list[np.ndarray]:
        """The polygons of object `index`, (P, 2) float32 copies."""
        first, last = int(self.object_offsets[index]), int(self.object_offsets[index + 1])
        ends = self.point_offsets
        return [self.points[ends[q] : ends[q + 1]].copy() for q in range(first, last)]


def pack_polygons(segmentations: Iterable[Any]) -> tuple[FlatPolygons, list[int]]:
    """Packs COCO segmentations, one an object: a list of [x1, y1, x2, y2, ...], an RLE or None.

    RLEs are left out, and polygons of under three corners, of odd numbers, or not all finite.

    Returns:
        The packed outlines, and the objects that lost a polygon for a fault.
    """
    numbers = array("f")
    point_ends, object_ends = [0], [0]
    faulty = []
    for i, segmentation in enumerate(segmentations):
        polygons = segmentation if isinstance(segmentation, list) else []
        whole = [polygon for polygon in polygons if _is_outline(polygon)]
        for polygon in whole:
            numbers.extend(polygon)
            point_ends.append(len(numbers) // 2)
        object_ends.append(len(point_ends) - 1)
        if len(whole) < len(polygons) or not isinstance(segmentation, list | dict | None):
            faulty.append(i)
    points = np.array(numbers, dtype=np.float32).reshape(-1, 2)
    return FlatPolygons(points, np.array(point_ends), np.array(object_ends)), faulty


def _is_outline(polygon: Any) -> bool:
    try:
        return (
            isinstance(polygon, list)
            and len(polygon) >= _MIN_NUMBERS
            and len(polygon) % 2 == 0
            and math.isfinite(sum(polygon))
        )
    except (TypeError, OverflowError):  # Not numbers, or too large ones.
        return False
