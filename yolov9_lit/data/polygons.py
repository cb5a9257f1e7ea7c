"""The outlines of all objects of a data set in three flat arrays, no Python object a polygon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_TOGETHER = 4096  # Polygons whose points are copied at a time.


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
    def of_counts(cls, points: np.ndarray, lengths: np.ndarray, counts: np.ndarray) -> FlatPolygons:
        """Return polygons (Q,) of a number of points each, of which objects (M,) have a number."""
        return cls(points, _offsets(lengths), _offsets(counts))

    @classmethod
    def joined(cls, parts: Sequence[FlatPolygons]) -> FlatPolygons:
        """Join the objects of all parts, one part after the other."""
        return cls(
            np.concatenate([part.points for part in parts]),
            _offsets(np.concatenate([np.diff(part.point_offsets) for part in parts])),
            _offsets(np.concatenate([np.diff(part.object_offsets) for part in parts])),
        )

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.object_offsets) - 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Return the polygons of an object, (P, 2) views."""
        first, last = self.object_offsets[index], self.object_offsets[index + 1]
        ends = self.point_offsets
        return tuple(self.points[ends[q] : ends[q + 1]] for q in range(first, last))

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the polygons of each object."""
        return (self[index] for index in range(len(self)))

    def span(self, start: int, stop: int) -> FlatPolygons:
        """Return the objects from `start` up to `stop`; the points are copies."""
        objects = self.object_offsets[start : stop + 1]
        polygons = self.point_offsets[objects[0] : objects[-1] + 1]
        points = self.points[polygons[0] : polygons[-1]].copy()
        return FlatPolygons(points, polygons - polygons[0], objects - objects[0])

    def take(self, rows: np.ndarray) -> FlatPolygons:
        """Return the objects `rows` (K,), indices or a mask over all; the points are copies."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        first, counts = self.object_offsets[rows], np.diff(self.object_offsets)[rows]
        polygons = spans(first, counts)
        starts, lengths = self.point_offsets[polygons], np.diff(self.point_offsets)[polygons]
        ends = _offsets(lengths)
        points = np.empty((ends[-1], 2), dtype=np.float32)
        ours, theirs = (_pairs(array) for array in (self.points, points))
        for i in range(0, len(lengths), _TOGETHER):  # So few that their indices stay in a cache.
            some = slice(i, i + _TOGETHER)
            rows = spans(starts[some], lengths[some])
            np.take(ours, rows, out=theirs[ends[i] : ends[i] + len(rows)], mode="clip")
        return FlatPolygons(points, ends, _offsets(counts))

    def at(self, points: np.ndarray) -> FlatPolygons:
        """Return the same outlines with other points (P, 2)."""
        return FlatPolygons(points, self.point_offsets, self.object_offsets)

    def edge_ends(self) -> np.ndarray:
        """Return for each point the next one of its outline, (P, 2); the last's is the first."""
        following = np.arange(1, len(self.points) + 1)
        lasts, drawn = self.point_offsets[1:] - 1, np.diff(self.point_offsets) > 0
        following[lasts[drawn]] = self.point_offsets[:-1][drawn]
        return self.points[following]

    def dense(self, most: float) -> FlatPolygons:
        """Return the same outlines with points no more than `most` pixels apart.

        What clips point by point then bends no edge that crosses an image's border.
        """
        ways = self.edge_ends() - self.points
        parts = np.maximum(np.ceil(np.hypot(*ways.T) / most), 1).astype(np.int64)
        along = spans(np.zeros_like(parts), parts) / np.repeat(parts, parts)
        points = np.repeat(self.points, parts, axis=0)
        points += (along[:, None] * np.repeat(ways, parts, axis=0)).astype(np.float32)
        return FlatPolygons(points, _offsets(parts)[self.point_offsets], self.object_offsets)

    @property
    def points_of_objects(self) -> np.ndarray:
        """Count the points of each object, (M,) int64; 0 without an outline."""
        return np.diff(self.point_offsets[self.object_offsets])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (K, 4) xyxy around the K objects with outlines, and which those are (M,)."""
        outlined = self.points_of_objects > 0
        starts = self.point_offsets[self.object_offsets[:-1][outlined]]
        if not len(starts):
            return np.zeros((0, 4), dtype=np.float32), outlined
        least = np.minimum.reduceat(self.points, starts)
        return np.concatenate((least, np.maximum.reduceat(self.points, starts)), axis=1), outlined


def _pairs(points: np.ndarray) -> np.ndarray:
    """Return points (P, 2) as (P,) single numbers, which are copied three times as fast."""
    return np.ascontiguousarray(points, dtype=np.float32).view(np.int64)[:, 0]


def _offsets(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def spans(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the indices starts[i] ... starts[i] + counts[i] - 1 of all i, in one array."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(starts - before, counts)
