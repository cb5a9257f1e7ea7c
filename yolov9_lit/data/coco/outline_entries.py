"""Which outlines of a COCO-format file's `annotations` can be used."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from yolov9_lit.data.coco.faults import Faults, Note
from yolov9_lit.data.coco.file import Entry

_LEAST_NUMBERS = 6  # A polygon has at least three corners of two numbers.

Outlines = Sequence[list[float]]
"""Polygons [x1, y1, x2, y2, ...] in pixels, each of three corners or more, all finite."""


def sound_outlines(
    entries: Sequence[Entry], crowd: np.ndarray, faults: Faults
) -> tuple[list[Outlines], np.ndarray]:
    """Return the sound polygons of each of M annotations; crowds and RLE masks have none.

    Args:
        entries: of the annotations.
        crowd: (M,) bool, which are regions of crowds.
        faults: RLE masks are noted.

    Returns:
        The polygons, and which annotations (M,) have others too.
    """
    found: list[Outlines] = []
    broken = np.zeros(len(entries), dtype=bool)
    masks = 0
    for i, (entry, is_crowd) in enumerate(zip(entries, crowd.tolist(), strict=True)):
        given = None if is_crowd else entry.get("segmentation")
        if isinstance(given, list):
            sound = all(map(is_outline, given))
            broken[i] = not sound
            # The list itself where it is sound: COCO has a million of them.
            found.append(given if sound else [p for p in given if is_outline(p)])
        else:
            masks += isinstance(given, dict)
            broken[i] = not isinstance(given, dict | None)
            found.append(())
    if masks:
        faults.notes[Note.RLE] += masks
    return found, broken


def bounds(outlines: Sequence[Outlines]) -> tuple[np.ndarray, np.ndarray]:
    """Return (K, 4) x1, y1, x2, y2 around the K of M objects with outlines, and which those are."""
    numbers, ends = array("d"), [0]
    for polygons in outlines:
        for polygon in polygons:
            try:
                numbers.fromlist(polygon)
            except OverflowError:  # Whole numbers that no float can hold.
                numbers.extend([math.inf] * _LEAST_NUMBERS)
        ends.append(len(numbers) // 2)
    starts = np.array(ends)
    outlined = np.diff(starts) > 0
    points = np.frombuffer(numbers, dtype=float).reshape(-1, 2) if numbers else np.zeros((0, 2))
    if not outlined.any():
        return np.zeros((0, 4)), outlined
    starts = starts[:-1][outlined]
    least, most = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    return np.concatenate([least, most], axis=1), outlined


def is_outline(polygon: Any) -> bool:
    """Tell whether it is a list of the coordinates of three corners or more, all finite."""
    try:
        return (
            isinstance(polygon, list)
            and len(polygon) >= _LEAST_NUMBERS
            and len(polygon) % 2 == 0
            and math.isfinite(sum(polygon))
        )
    except (TypeError, OverflowError):  # Not numbers, or too large ones.
        return False
