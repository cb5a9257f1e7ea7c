"""The entries of a COCO-format file's `annotations` in columns, whatever they hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.image_entries import NUMBERS, stated_size

NO_BOX = [math.nan] * 4
"""Stands for what is no box of four numbers."""

_CROWD = {None: 0, 0: 0, 1: 1, "0": 0, "1": 1}  # True is 1, 0.0 is 0.


class Columns(NamedTuple):
    """What M entries of `annotations` say.

    Attributes:
        row: (M,) position of its image among the sound ones, -1 for none of them.
        label: (M,) position of its category likewise.
        crowd: (M,) 0 or 1, -1 for neither.
        given: (M, 4) x, y, width and height; NaN where these are not four numbers.
        four: (M,) bool, whether they are.
        size: (M, 2) width and height of the image; infinite where it states none.
    """

    row: np.ndarray
    label: np.ndarray
    crowd: np.ndarray
    given: np.ndarray
    four: np.ndarray
    size: np.ndarray

    @classmethod
    def of(
        cls, entries: Sequence[Entry], images: Mapping[int, Entry], names: Mapping[int, str]
    ) -> Columns:
        """Take the columns of entries."""
        sides = [stated_size(image) or (math.inf, math.inf) for image in images.values()]
        sizes = np.array([*sides, (math.inf, math.inf)])[:, ::-1]
        row = _positions([entry.get("image_id") for entry in entries], images)
        boxes = [four_numbers(entry.get("bbox")) for entry in entries]
        return cls(
            row,
            _positions([entry.get("category_id") for entry in entries], names),
            np.array([_crowd(entry.get("iscrowd")) for entry in entries], dtype=np.int64),
            floats([*chain.from_iterable(boxes)]).reshape(-1, 4),
            np.array([box is not NO_BOX for box in boxes], dtype=bool),
            sizes[row],
        )

    def take(self, rows: np.ndarray) -> Columns:
        """Return some of the entries' columns."""
        return Columns(*(column[rows] for column in self))

    @property
    def end(self) -> np.ndarray:
        """Return the right lower corners (M, 2) as they are given."""
        return self.given[:, :2] + self.given[:, 2:]

    def inside(self) -> np.ndarray:
        """Return the corners inside the images, (M, 4)."""
        return clip(np.concatenate([self.given[:, :2], self.end], axis=1), self.size)

    def beyond(self) -> np.ndarray:
        """Return how far the boxes (M,) reach beyond their image in pixels; 0 without a size."""
        beyond = np.concatenate([-self.given[:, :2], self.end - self.size], axis=1)
        return np.where(np.isfinite(self.size[:, 0]), beyond.max(axis=1), 0)


def _positions(values: Sequence[Any], ids: Mapping[int, Any]) -> np.ndarray:
    """Return the position of each value among ids, -1 of what is none of them."""
    place = {value: i for i, value in enumerate(ids)}
    found = [place.get(value, -1) if type(value) is int else -1 for value in values]
    return np.array(found, dtype=np.int64)


def four_numbers(box: Any) -> list[float]:
    """Return a box as it is; `NO_BOX` for what is none."""
    fits = isinstance(box, list) and len(box) == 4 and NUMBERS.issuperset(map(type, box))
    return box if fits else NO_BOX


def _crowd(value: Any) -> int:
    try:
        return _CROWD.get(value, -1)
    except TypeError:  # A list or a dictionary.
        return -1


def floats(numbers: Sequence[float]) -> np.ndarray:
    """Return whole numbers too large for it as infinite."""
    try:
        return np.array(numbers, dtype=float)
    except OverflowError:
        return np.array([_float(number) for number in numbers])


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def clip(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return corners (M, 4) inside images of a width and height (M, 2)."""
    return np.concatenate([np.maximum(corners[:, :2], 0), np.minimum(corners[:, 2:], size)], axis=1)
