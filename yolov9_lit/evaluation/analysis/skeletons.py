"""The keypoints of detections and of the truth, as pictures show them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.coco_columns import are_known, true_keypoints
from yolov9_lit.evaluation.found import Found
from yolov9_lit.reporting.skeleton import Skeleton, shown_keypoints
from yolov9_lit.structures import KeypointLayout


class Skeletons(NamedTuple):
    """The K keypoints of N detections and M objects.

    Attributes:
        found: (N, K, 3), x, y and how visible, 0..1.
        objects: (M, K, 3), x, y and 0 (not annotated), 1 or 2.
        layout: what the K are.
    """

    found: np.ndarray
    objects: np.ndarray
    layout: KeypointLayout

    @classmethod
    def of(cls, truth: Truth, found: Found, layout: KeypointLayout) -> Skeletons:
        """Take those of detections of a known category, and of all objects."""
        assert found.keypoints is not None
        return cls(found.keypoints[are_known(found, truth)], true_keypoints(truth), layout)

    def of_detection(self, place: int) -> Skeleton:
        """Return what is drawn of a detection."""
        return Skeleton(shown_keypoints(self.found[place]), self.layout)

    def of_object(self, place: int) -> Skeleton:
        """Return what is drawn of an object."""
        return Skeleton(self.objects[place], self.layout)
