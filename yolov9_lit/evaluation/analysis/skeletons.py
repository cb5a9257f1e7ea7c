"""The keypoints of detections and of the truth, as pictures show them."""

from __future__ import annotations

from typing import NamedTuple

from yolov9_lit.evaluation.coco_columns import Poses
from yolov9_lit.reporting.skeleton import Skeleton, shown_keypoints
from yolov9_lit.structures import KeypointLayout


class Skeletons(NamedTuple):
    """The K keypoints of N detections and M objects.

    Attributes:
        poses: the keypoints.
        layout: what the K are.
    """

    poses: Poses
    layout: KeypointLayout

    def of_detection(self, place: int) -> Skeleton:
        """Return what is drawn of a detection."""
        return Skeleton(shown_keypoints(self.poses.found[place]), self.layout)

    def of_object(self, place: int) -> Skeleton:
        """Return what is drawn of an object."""
        return Skeleton(self.poses.objects[place], self.layout)
