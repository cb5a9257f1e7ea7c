"""Telling poses from outlines in YOLO labels, whose lines look alike where `kpt_shape` is missing.

A pose is a box and its keypoints, as numbers: four, and two of each keypoint (x, y), or three with
its visibility, which is 0, 1 or 2. Read as an outline it gives a wrong box.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import islice

import numpy as np

from yolov9_lit.data.coco.faults import Note

_ENOUGH = 10_000  # Lines that are looked at.
_LARGEST = 2  # Fractions are smaller, visibilities no larger.
_FEWEST = 5  # Of fewer lines outlines could look like poses by chance.
_NEARLY_ALL = 0.95
_TOLERANCE = 0.1  # Of a box's side: keypoints may lie a bit outside.
_SPANNED = 0.5  # Of a box's side: keypoints of an object lie all over it.


def pose_note(lines: Iterable[str]) -> Note | None:
    """Say whether lines are poses, may be poses or outlines, or are neither (None).

    Poses have one length, and their keypoints lie inside their boxes. Outlines of one length, as
    those of four corners, rarely do, and hardly ever span what would be their boxes.
    """
    rows = _rows(lines)
    if rows is None:
        return None
    numbers = rows.shape[1] - 4
    visibilities = rows[:, 6::3]
    if numbers % 3 == 0 and np.isin(visibilities, (0, 1, 2)).all():
        points = np.stack([rows[:, 4::3], rows[:, 5::3]], axis=2)
        inside, _ = _fit(rows[:, :4], points, visibilities > 0)
        return Note.POSES if inside else None
    if numbers % 2:
        return None
    points = rows[:, 4:].reshape(len(rows), -1, 2)
    inside, spanning = _fit(rows[:, :4], points, (points != 0).any(axis=2))
    if not inside:
        return None
    return Note.POSES if spanning and len(rows) >= _FEWEST else Note.POSES_OR_OUTLINES


def _rows(lines: Iterable[str]) -> np.ndarray | None:
    """Return (N, M) numbers behind the class; None if lines differ in length or are boxes."""
    numbers, length = array("d"), 0
    for line in islice(filter(None, map(str.split, lines)), _ENOUGH):
        try:
            _, *values = map(float, line)
        except ValueError:
            continue
        if not all(abs(value) <= _LARGEST for value in values):
            continue  # A fault, told when the line is parsed.
        length = length or len(values)
        if len(values) != length or length < 6:
            return None
        numbers.extend(values)
    return np.array(numbers).reshape(-1, length) if length else None


def _fit(boxes: np.ndarray, points: np.ndarray, shown: np.ndarray) -> tuple[bool, bool]:
    """Tell whether points lie inside their boxes, and whether they span them, for nearly all.

    Args:
        boxes: (N, 4), centre and size in fractions of the image.
        points: (N, K, 2).
        shown: (N, K) bool; the others have no place.
    """
    some = shown.any(axis=1)
    if not some.any():
        return False, False
    boxes, points, shown = boxes[some], points[some], shown[some, :, None]
    centers, sizes = boxes[:, None, :2], boxes[:, None, 2:]
    reach = sizes * (0.5 + _TOLERANCE)
    near = (np.abs(points - centers) <= reach) | ~shown
    inside = near.all(axis=(1, 2)) & (sizes > 0).all(axis=(1, 2))
    low = np.where(shown, points, np.inf).min(axis=1)
    high = np.where(shown, points, -np.inf).max(axis=1)
    spanning = (high - low >= _SPANNED * boxes[:, 2:]).all(axis=1)
    return inside.mean() >= _NEARLY_ALL, (inside & spanning).mean() >= _NEARLY_ALL
