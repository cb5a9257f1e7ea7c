"""Which detection finds which object, as COCO matches them."""

from __future__ import annotations

from typing import NamedTuple

import hotcoco
import numpy as np

MATCH_IOU = 0.5
"""Overlap from which a detection finds an object."""


class Matches(NamedTuple):
    """Which detection finds which object at an IoU of `MATCH_IOU`, as COCO matches them.

    Attributes:
        hits: (N,) bool, detections that find an object.
        counted: (N,) bool; not those on a crowd, nor beyond the 100 best of an image and class.
        found_by: (M,) the detection that finds each object, -1 for none.
    """

    hits: np.ndarray
    counted: np.ndarray
    found_by: np.ndarray

    @classmethod
    def of(cls, evaluation: hotcoco.COCOeval, detections: int, objects: int) -> Matches:
        """Return those of an evaluation that has been run, given how many there are of both."""
        told = evaluation.image_diagnostics(iou_thr=MATCH_IOU)
        hits = np.zeros(detections, dtype=bool)
        counted, found_by = np.zeros_like(hits), np.full(objects, -1)
        status = told["dt_status"]  # hotcoco numbers detections and objects from 1, as they come.
        counted[np.fromiter(status, np.int64, len(status)) - 1] = True
        pairs = told["dt_match"]
        found = np.fromiter(pairs, np.int64, len(pairs)) - 1
        hits[found] = True
        found_by[np.fromiter(pairs.values(), np.int64, len(pairs)) - 1] = found
        return cls(hits, counted, found_by)
