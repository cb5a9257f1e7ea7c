"""Telling poses from outlines in YOLO labels, whose lines look alike.

A pose is a box and its keypoints, as numbers: four, and two of each keypoint (x, y), or three with
its visibility, which is 0, 1 or 2. Read as an outline it gives a wrong box. In a file lines of
boxes, of poses and of outlines may stand one under the other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.coco.faults import Fault, Note
from yolov9_lit.data.prepare.formats.yolo_config import PoseShape

_ENOUGH = 1_000  # Lines of a length that are looked at.
_LARGEST = 2  # Fractions are smaller, visibilities no larger.
_FEWEST = 5  # Of fewer lines outlines could look like poses by chance.
_NEARLY_ALL = 0.95
_MANY = 0.3  # Of COCO's outlines 0.005 look like poses.
_TOLERANCE = 0.1  # Of a box's side: keypoints may lie a bit outside.
_SPANNED = 0.5  # Of a box's side: keypoints of an object lie all over it.
BOX = 4


class Poses(NamedTuple):
    """Which lines of a data set are poses, by how many numbers stand behind the class.

    Attributes:
        stated: what a pose has where the YAML file says so; None where it says nothing.
        notes: what is told of lines of a length where it says nothing.
    """

    stated: PoseShape | None
    notes: Mapping[int, Note]

    def reading(self, numbers: int) -> Note | Fault | None:
        """Return what lines of so many numbers are read as; None of a box or an outline."""
        if self.stated is None:
            return self.notes.get(numbers)
        if numbers in (BOX, self.stated.numbers):
            return None
        return Fault.LINE_KEYPOINTS

    def each(self, numbers: int) -> int | None:
        """Return how many numbers each keypoint has in lines of so many; None of no poses.

        It is 0 where the YAML file does not tell, and only the box counts.
        """
        if self.stated and numbers == self.stated.numbers:
            return self.stated.each
        return 0 if self.notes.get(numbers) == Note.POSES else None


def find_poses(lines: Iterable[str]) -> Mapping[int, Note]:
    """Return by their length which lines are poses, or may be poses or outlines.

    Poses have one length, and their keypoints lie inside their boxes and span them. Outlines often
    lie inside what would be their boxes, and hardly ever span them.

    Args:
        lines: of all label files.
    """
    by_length = {n: values.reshape(-1, n) for n, values in _numbers(lines).items()}
    notes = {n: _note(rows, alone=len(by_length) == 1) for n, rows in by_length.items()}
    return {n: note for n, note in notes.items() if note}


def _numbers(lines: Iterable[str]) -> Mapping[int, np.ndarray]:
    """Return the numbers behind the class, by how many of them a line has; boxes left out."""
    found: dict[int, array[float]] = {}
    for tokens in map(str.split, lines):
        length = len(tokens) - 1
        held = found.get(length, ())
        if length < BOX + 2 or len(held) >= _ENOUGH * length:
            continue
        try:
            _, *values = map(float, tokens)
        except ValueError:
            continue
        if all(abs(value) <= _LARGEST for value in values):  # Others are told when parsed.
            found.setdefault(length, array("d")).extend(values)
    return {length: np.array(values) for length, values in found.items()}


def _note(rows: np.ndarray, *, alone: bool) -> Note | None:
    """Say what (N, M) numbers behind the class are; None of outlines.

    Args:
        rows: all of one length.
        alone: whether no line has another: outlines of many lengths lie inside by chance.
    """
    numbers = rows.shape[1] - BOX
    visibilities = rows[:, 6::3]
    if numbers % 3 == 0 and np.isin(visibilities, (0, 1, 2)).all():
        points = np.stack([rows[:, 4::3], rows[:, 5::3]], axis=2)
        inside, _ = _fit(rows[:, :4], points, visibilities > 0)
        return Note.POSES if inside >= _NEARLY_ALL else None
    if numbers % 2:
        return None
    points = rows[:, 4:].reshape(len(rows), -1, 2)
    inside, spanning = _fit(rows[:, :4], points, (points != 0).any(axis=2))
    if spanning >= _NEARLY_ALL and len(rows) >= _FEWEST:
        return Note.POSES
    may_be = (alone and inside >= _NEARLY_ALL) or (spanning >= _MANY and len(rows) >= _FEWEST)
    return Note.POSES_OR_OUTLINES if may_be else None


def _fit(boxes: np.ndarray, points: np.ndarray, shown: np.ndarray) -> tuple[float, float]:
    """Return the share of boxes that their points lie inside of, and that of those they span.

    Args:
        boxes: (N, 4), centre and size in fractions of the image.
        points: (N, K, 2).
        shown: (N, K) bool; the others have no place.
    """
    some = shown.any(axis=1)
    if not some.any():
        return 0.0, 0.0
    boxes, points, shown = boxes[some], points[some], shown[some, :, None]
    centers, sizes = boxes[:, None, :2], boxes[:, None, 2:]
    reach = sizes * (0.5 + _TOLERANCE)
    near = (np.abs(points - centers) <= reach) | ~shown
    inside = near.all(axis=(1, 2)) & (sizes > 0).all(axis=(1, 2))
    low = np.where(shown, points, np.inf).min(axis=1)
    high = np.where(shown, points, -np.inf).max(axis=1)
    spanning = (high - low >= _SPANNED * boxes[:, 2:]).all(axis=1)
    return float(inside.mean()), float((inside & spanning).mean())
