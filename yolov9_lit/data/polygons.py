"""The outlines of all objects of a data set in three flat arrays, without an object per polygon."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BROKEN = "annotations have polygons of under three corners, odd or broken: these are left out"
"""The fault of a polygon that is no outline."""

_MIN_NUMBERS = 6  # A polygon has at least three corners of two numbers.
_FORMS = list | dict | None  # Polygons, an RLE, nothing.


@dataclass(frozen=True, eq=False)
class FlatPolygons:
    """The outlines of M objects with Q polygons of P points in all; a sequence over the objects.

    Attributes:
        points: (P, 2) float32, xy in pixels.
        point_offsets: (Q + 1,) int64; polygon q has points[point_offsets[q]:point_offsets[q + 1]].
        object_offsets: (M + 1,) int64; object m has the polygons from object_offsets[m] up to
            object_offsets[m + 1].
    """

    points: np.ndarray
    point_offsets: np.ndarray
    object_offsets: np.ndarray

    @classmethod
    def pack(cls, objects: Iterable[Iterable[np.ndarray]]) -> FlatPolygons:
        """Pack the polygons of each object, (P, 2) arrays."""
        outlines = [list(polygons) for polygons in objects]
        flat = [
            np.asarray(points, dtype=np.float32) for polygons in outlines for points in polygons
        ]
        return cls(
            np.concatenate([np.zeros((0, 2), np.float32), *flat]),
            _offsets([len(points) for points in flat]),
            _offsets([len(polygons) for polygons in outlines]),
        )

    @classmethod
    def joined(cls, parts: Sequence[FlatPolygons]) -> FlatPolygons:
        """The objects of all parts, one part after the other."""
        return cls(
            np.concatenate([part.points for part in parts]),
            _offsets(np.concatenate([np.diff(part.point_offsets) for part in parts])),
            _offsets(np.concatenate([np.diff(part.object_offsets) for part in parts])),
        )

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.object_offsets) - 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """The polygons of an object, (P, 2) views."""
        first, last = self.object_offsets[index], self.object_offsets[index + 1]
        ends = self.point_offsets
        return tuple(self.points[ends[q] : ends[q + 1]] for q in range(first, last))

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        """The polygons of each object."""
        return (self[index] for index in range(len(self)))

    def span(self, start: int, stop: int) -> FlatPolygons:
        """The objects from `start` up to `stop`; the points are copies."""
        objects = self.object_offsets[start : stop + 1]
        polygons = self.point_offsets[objects[0] : objects[-1] + 1]
        points = self.points[polygons[0] : polygons[-1]].copy()
        return FlatPolygons(points, polygons - polygons[0], objects - objects[0])

    def take(self, rows: np.ndarray) -> FlatPolygons:
        """The objects `rows` (K,), indices or a mask of all objects; the points are copies."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        first, counts = self.object_offsets[rows], np.diff(self.object_offsets)[rows]
        polygons = _spans(first, counts)
        lengths = np.diff(self.point_offsets)[polygons]
        points = self.points[_spans(self.point_offsets[polygons], lengths)]
        return FlatPolygons(points, _offsets(lengths), _offsets(counts))

    def at(self, points: np.ndarray) -> FlatPolygons:
        """The same outlines with their points elsewhere, (P, 2)."""
        return FlatPolygons(points, self.point_offsets, self.object_offsets)

    @property
    def points_of_objects(self) -> np.ndarray:
        """How many points each object has, (M,) int64; 0 without an outline."""
        return np.diff(self.point_offsets[self.object_offsets])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (K, 4) xyxy around the K objects that have outlines, and which those are (M,)."""
        outlined = self.points_of_objects > 0
        starts = self.point_offsets[self.object_offsets[:-1][outlined]]
        if not len(starts):
            return np.zeros((0, 4), dtype=np.float32), outlined
        least = np.minimum.reduceat(self.points, starts)
        return np.concatenate((least, np.maximum.reduceat(self.points, starts)), axis=1), outlined


def _offsets(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def _spans(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The indices starts[i] ... starts[i] + counts[i] - 1 of all i, in one array."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)


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
        whole, fault = sound_outlines(segmentation)
        for polygon in whole:
            numbers.extend(polygon)
            point_ends.append(len(numbers) // 2)
        object_ends.append(len(point_ends) - 1)
        if fault:
            faulty.append(i)
    points = np.array(numbers, dtype=np.float32).reshape(-1, 2)
    return FlatPolygons(points, np.array(point_ends), np.array(object_ends)), faulty


def sound_outlines(segmentation: Any) -> tuple[list[list[float]], bool]:
    """The polygons of a COCO segmentation that can be used, and whether any other thing is there.

    A polygon is a list of three or more corners, all numbers finite. An RLE or None has none.
    """
    polygons = segmentation if isinstance(segmentation, list) else []
    sound = [polygon for polygon in polygons if _is_outline(polygon)]
    return sound, len(sound) < len(polygons) or not isinstance(segmentation, _FORMS)


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
