"""The entries of a COCO-format file's `annotations` in columns, whatever they hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.image_entries import NUMBERS, is_id, is_number
from yolov9_lit.data.coco.records import Records

NO_ID = -(2**63)
"""Stands for what is no id; `is_id` holds of none."""

_NO_BOX = [math.nan] * 4  # Stands for what is no box of four numbers.

_CROWD = {None: 0, 0: 0, 1: 1, "0": 0, "1": 1}  # True is 1, 0.0 is 0.


class Said(NamedTuple):
    """What M entries of `annotations` say.

    Attributes:
        number: (M,) int64, their own ids; `NO_ID` for what is none.
        image: (M,) ids of images likewise.
        category: (M,) ids of categories likewise.
        crowd: (M,) 0 or 1, -1 for neither.
        given: (M, 4) x, y, width and height; NaN where these are not four numbers.
        four: (M,) bool, whether they are.
        area: (M,) NaN for what is no number.
        stated: (M,) bool, whether an area is stated, a number or not.
    """

    number: np.ndarray
    image: np.ndarray
    category: np.ndarray
    crowd: np.ndarray
    given: np.ndarray
    four: np.ndarray
    area: np.ndarray
    stated: np.ndarray

    @classmethod
    def by(cls, entries: Sequence[Entry]) -> Said:
        """Return what entries say."""
        return _by_records(entries) if isinstance(entries, Records) else _by_entries(entries)


class Columns(NamedTuple):
    """What M entries of `annotations` say of sound images and categories.

    Attributes:
        row: (M,) position of its image among the sound ones, -1 for none of them.
        label: (M,) position of its category likewise.
        size: (M, 2) width and height of the image; infinite where it states none.
        number: as in `Said`, like the others.
    """

    row: np.ndarray
    label: np.ndarray
    size: np.ndarray
    number: np.ndarray
    crowd: np.ndarray
    given: np.ndarray
    four: np.ndarray
    area: np.ndarray
    stated: np.ndarray

    @classmethod
    def of(
        cls, said: Said, images: Iterable[int], sizes: np.ndarray, categories: Iterable[int]
    ) -> Columns:
        """Find the images and categories.

        Args:
            said: by the entries.
            images: ids of the N sound ones.
            sizes: (N, 2) their heights and widths.
            categories: ids of the sound ones.
        """
        row = _positions(said.image, images)
        size = np.concatenate([sizes, [(math.inf, math.inf)]])[row, ::-1]
        return cls(row, _positions(said.category, categories), size, said.number, *said[3:])

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


def _by_entries(entries: Sequence[Entry]) -> Said:
    number, image, category = (
        _ids([entry.get(key) for entry in entries]) for key in ("id", "image_id", "category_id")
    )
    boxes = [_four_numbers(entry.get("bbox")) for entry in entries]
    areas = [entry.get("area") for entry in entries]
    return Said(
        number,
        image,
        category,
        np.array([_crowd(entry.get("iscrowd")) for entry in entries], dtype=np.int64),
        _floats([*chain.from_iterable(boxes)]).reshape(-1, 4),
        np.array([box is not _NO_BOX for box in boxes], dtype=bool),
        _floats([area if is_number(area) else math.nan for area in areas]),
        np.array([area is not None for area in areas], dtype=bool),
    )


def _by_records(entries: Records) -> Said:
    """Return the same of records, whose types need no look."""
    records, count = entries.records, len(entries)
    given = np.fromiter(chain.from_iterable(r.bbox for r in records), float, 4 * count)
    crowd = np.array([r.iscrowd or 0 for r in records], dtype=np.int64)
    area = np.array([r.area for r in records], dtype=float)  # None becomes NaN, which none states.
    return Said(
        np.array([NO_ID if r.id is None else r.id for r in records], dtype=np.int64),
        np.array([r.image_id for r in records], dtype=np.int64),
        np.array([r.category_id for r in records], dtype=np.int64),
        np.where((crowd == 0) | (crowd == 1), crowd, -1),
        given.reshape(-1, 4),
        np.ones(count, dtype=bool),
        area,
        ~np.isnan(area),
    )


def _ids(values: Sequence[Any]) -> np.ndarray:
    return np.array([value if is_id(value) else NO_ID for value in values], dtype=np.int64)


def _positions(ids: np.ndarray, known: Iterable[int]) -> np.ndarray:
    """Return the position of each id among those known, -1 of one that is none of them."""
    listed = np.array([*known, NO_ID], dtype=np.int64)
    order = np.argsort(listed)
    places = order[np.searchsorted(listed, ids, sorter=order) % len(listed)]
    return np.where((listed[places] == ids) & (ids != NO_ID), places, -1)


def _four_numbers(box: Any) -> list[float]:
    """Return a box as it is; `_NO_BOX` for what is none."""
    fits = isinstance(box, list) and len(box) == 4 and NUMBERS.issuperset(map(type, box))
    return box if fits else _NO_BOX


def _crowd(value: Any) -> int:
    try:
        return _CROWD.get(value, -1)
    except TypeError:  # A list or a dictionary.
        return -1


def _floats(numbers: Sequence[float]) -> np.ndarray:
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
