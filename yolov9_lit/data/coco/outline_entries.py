"""Which outlines of a COCO-format file's `annotations` can be used."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.coco.annotation_columns import clip
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.records import values_of
from yolov9_lit.data.polygons import FlatPolygons

_LEAST_NUMBERS = 6  # A polygon has at least three corners of two numbers.
_ROUNDING = 2.0  # Pixels between a box and the bounds of its outline: both may be rounded.
_LEAST_AREA = 1e-6  # Square pixels.
_LEAST_WIDTH = 1e-6  # Pixels across a polygon that is no line.
_FARTHEST = 2.0**31  # Pixels that an outline may reach beyond its image; 32 bits hold no more.
_TOGETHER = 2**15  # Annotations whose outlines are 64-bit numbers at a time.

Outlines = Sequence[list[float]]
"""Polygons [x1, y1, x2, y2, ...] in pixels, each of three corners or more, all finite."""


class SoundOutlines(NamedTuple):
    """The outlines of K annotations.

    Attributes:
        polygons: those that can be used.
        broken: (K,) bool, whether an annotation has others too.
        off: (K,) bool, whether they do not span its box: then none is used.
        flat: (K,) bool, whether they enclose nothing: likewise.
        masks: (K,) bool, whether it has an RLE mask instead.
    """

    polygons: FlatPolygons
    broken: np.ndarray
    off: np.ndarray
    flat: np.ndarray
    masks: np.ndarray


class _Polygons(NamedTuple):
    """Polygons of annotations: their numbers, how many each has, and whose each is."""

    numbers: np.ndarray
    lengths: np.ndarray
    owners: np.ndarray

    def take(self, mask: np.ndarray) -> _Polygons:
        if mask.all():
            return self
        numbers = self.numbers[np.repeat(mask, self.lengths)]
        return _Polygons(numbers, self.lengths[mask], self.owners[mask])


def sound_outlines(
    entries: Sequence[Entry],
    rows: np.ndarray,
    crowd: np.ndarray,
    corners: np.ndarray,
    size: np.ndarray,
) -> SoundOutlines:
    """Return the sound polygons of annotations; crowds and RLE masks have none.

    Args:
        entries: of the file.
        rows: (K,) positions of the annotations among them.
        crowd: (K,) bool, which are regions of crowds.
        corners: (K, 4) of their boxes inside the images, in pixels.
        size: (K, 2) width and height of their images.
    """
    values = values_of(entries, "segmentation", rows.tolist(), (~crowd).tolist())
    found = []
    for start in range(0, max(len(rows), 1), _TOGETHER):
        span = slice(start, start + _TOGETHER)
        found.append(_of_values(islice(values, _TOGETHER), corners[span], size[span]))
    polygons, *masks = zip(*found, strict=True)
    return SoundOutlines(FlatPolygons.joined(polygons), *map(np.concatenate, masks))


def outlines_of(entry: Entry, polygons: FlatPolygons, row: int) -> Outlines:
    """Return the sound polygons of an annotation, as they were given; what was traced, of a mask.

    Args:
        entry: the annotation.
        polygons: the sound ones of it and others.
        row: its place among these.
    """
    count = int(polygons.object_offsets[row + 1] - polygons.object_offsets[row])
    given = entry.get("segmentation") if count else []
    if not isinstance(given, list):
        return [points.ravel().tolist() for points in polygons[row]]
    return given if len(given) == count else usable(given)


def usable(given: list[Any]) -> Outlines:
    """Return the sound ones of what an annotation gives as its polygons."""
    sound = _sound(_polygons([given])[0]).tolist()
    return [polygon for polygon, fits in zip(given, sound, strict=True) if fits]


def _of_values(values: Iterable[Any], corners: np.ndarray, size: np.ndarray) -> SoundOutlines:
    found, kinds = _polygons(values)
    broken = np.array([kind not in (list, dict, type(None)) for kind in kinds], dtype=bool)
    sound = _sound(found)
    broken[found.owners[~sound]] = True
    found = found.take(sound)
    off = ~_span(found, corners, size)
    found = found.take(~off[found.owners])
    flat = _flat(found, len(kinds))
    found = found.take(~flat[found.owners])
    polygons = FlatPolygons.of_counts(
        found.numbers.reshape(-1, 2).astype(np.float32),
        found.lengths // 2,
        np.bincount(found.owners, minlength=len(kinds)),
    )
    masks = np.array([kind is dict for kind in kinds], dtype=bool)
    return SoundOutlines(polygons, broken, off, flat, masks)


def _polygons(values: Iterable[Any]) -> tuple[_Polygons, list[type]]:
    """Return the polygons that annotations give, and the type of what each gives.

    A polygon that is no list of numbers, or of numbers too large for a float, has none.
    """
    numbers, ends, counts, kinds = array("d"), [0], [], []
    for value in values:
        given = value if isinstance(value, list) else ()
        for polygon in given:
            try:
                numbers.fromlist(polygon)
            except (TypeError, OverflowError):
                ends.append(ends[-1])
            else:
                ends.append(len(numbers))
        counts.append(len(given))
        kinds.append(type(value))
    owners = np.repeat(np.arange(len(counts)), np.array(counts, dtype=np.int64))
    return _Polygons(np.array(numbers), np.diff(ends), owners), kinds


def _sound(polygons: _Polygons) -> np.ndarray:
    """Tell which polygons have the coordinates of three corners or more, all finite."""
    lengths = polygons.lengths
    sound = (lengths >= _LEAST_NUMBERS) & (lengths % 2 == 0)
    filled = lengths > 0
    starts = (np.cumsum(lengths) - lengths)[filled]
    if len(starts):
        sound[filled] &= np.isfinite(np.add.reduceat(polygons.numbers, starts))
    return sound


def _span(found: _Polygons, corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Tell which annotations (K,) have outlines that span their box; no outline does."""
    spans = np.ones(len(corners), dtype=bool)
    if not len(found.owners):
        return spans
    outlined, first = np.unique(found.owners, return_index=True)
    starts = (np.cumsum(found.lengths) - found.lengths)[first] // 2
    sides = found.numbers[::2], found.numbers[1::2]
    least = [np.minimum.reduceat(numbers, starts) for numbers in sides]
    most = [np.maximum.reduceat(numbers, starts) for numbers in sides]
    limits = np.stack([*least, *most], axis=1)
    spans[outlined] = span_boxes(limits, corners[outlined], size[outlined])
    return spans


def _flat(found: _Polygons, count: int) -> np.ndarray:
    """Tell which annotations (count,) have polygons that all are lines, without an area."""
    flat = np.zeros(count, dtype=bool)
    if not len(found.owners):
        return flat
    x, y = found.numbers[::2], found.numbers[1::2]
    ends = np.cumsum(found.lengths // 2)
    starts, lasts = ends - found.lengths // 2, ends - 1
    turned = np.empty(len(x))
    np.subtract(x[:-1] * y[1:], x[1:] * y[:-1], out=turned[:-1])
    turned[lasts] = x[lasts] * y[starts] - x[starts] * y[lasts]
    # Of one that crosses itself both sides may weigh the same: the few such ones are looked at.
    areas = np.add.reduceat(turned, starts) / 2
    lines = np.abs(areas) < _LEAST_AREA
    for q in np.flatnonzero(lines).tolist():
        points = np.stack([x, y], axis=1)[starts[q] : ends[q]]
        lines[q] = np.linalg.matrix_rank(points - points[0], tol=_LEAST_WIDTH) < 2
    flat[found.owners] = True
    flat[found.owners[~lines]] = False
    return flat


def span_boxes(limits: np.ndarray, corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Tell which outlines span their box inside the image, to a pixel or two.

    Args:
        limits: (K, 4) x1, y1, x2, y2 around the outlines.
        corners: (K, 4) of the boxes likewise.
        size: (K, 2) width and height of the images.
    """
    off = np.abs(clip(limits, size) - corners).max(axis=1)
    return (off <= _ROUNDING) & (np.abs(limits) < _FARTHEST).all(axis=1)
