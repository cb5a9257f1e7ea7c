"""What detections and the truth are compared by, in columns: boxes, masks and keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.mask_entries import RLE
from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.found import Found


class Objects(NamedTuple):
    """The M objects of a ground truth, in columns.

    Attributes:
        images: (M,) numbers of their images.
        categories: (M,) numbers.
        boxes: (M, 4), x, y, width and height in pixels.
        areas: (M,) in square pixels.
        crowd: (M,) bool, regions of many objects.
    """

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray

    @classmethod
    def of(cls, entries: list[Entry], images: np.ndarray, categories: np.ndarray) -> Objects:
        """Take entries of `annotations`, given the ids that are numbered."""
        return cls(
            numbers(column(entries, "image_id", np.int64), images),
            numbers(column(entries, "category_id", np.int64), categories),
            column(entries, "bbox", float).reshape(-1, 4),
            column(entries, "area", float),
            column(entries, "iscrowd", bool),
        )


class Masks(NamedTuple):
    """What a backend compares in place of boxes.

    Attributes:
        objects: M, of the truth.
        found: N, of the detections.
    """

    objects: list[RLE]
    found: list[RLE]


class Poses(NamedTuple):
    """The K keypoints that a backend compares in place of boxes.

    Attributes:
        objects: (M, K, 3), x, y and 0 (not annotated), 1 or 2, of the truth.
        found: (N, K, 3), x, y and how visible, of the detections.
        sigmas: (K,) how far from the true place each may lie, as a share of the object's size.
    """

    objects: np.ndarray
    found: np.ndarray
    sigmas: Sequence[float]


def sorted_ids(entries: Sequence[Entry]) -> np.ndarray:
    """Return the entries' ids in their order, int64."""
    return np.sort(column(entries, "id", np.int64))


def are_known(found: Found, truth: Truth) -> np.ndarray:
    """Tell which detections (N,) are of a category that the truth has: the others are left out."""
    return np.isin(found.category_ids, sorted_ids(truth["categories"]))


def true_keypoints(truth: Truth) -> np.ndarray:
    """Return the objects' keypoints (M, K, 3), of a truth that has them."""
    return keypoints_in(truth["annotations"], truth)


def keypoints_in(entries: Sequence[Mapping[str, Any]], truth: Truth) -> np.ndarray:
    """Return the keypoints (N, K, 3) of entries, K as the truth has them."""
    count = len(truth["categories"][0]["keypoints"])
    return column(entries, "keypoints", float).reshape(-1, count, 3)


def column(entries: Sequence[Mapping[str, Any]], key: str, kind: type) -> np.ndarray:
    """Return what entries have under a key."""
    return np.array([entry[key] for entry in entries], dtype=kind)


def numbers(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return numbers from 1 in place of ids, all of which are there."""
    return np.searchsorted(ids, values) + 1
