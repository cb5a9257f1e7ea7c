"""Random mirroring."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from yolov9_lit.data.sample import Another, Sample
from yolov9_lit.kinds import Share


class RandomFlip:
    """Mirrors left and right, and top and bottom."""

    def __init__(self, horizontal: Share = 0.5, vertical: Share = 0.0) -> None:
        """Set the probabilities, 0..1."""
        self.horizontal = horizontal
        self.vertical = vertical

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Mirror the sample, or not; the size stays."""
        if rng.random() < self.horizontal:
            sample = flipped(sample, axis=0)
        if rng.random() < self.vertical:
            sample = flipped(sample, axis=1)
        return sample


def flipped(sample: Sample, axis: int) -> Sample:
    """Mirror along x (axis 0) or y (axis 1)."""
    length = sample.image.shape[1 - axis]
    boxes = sample.boxes.copy()
    boxes[:, axis] = length - sample.boxes[:, axis + 2]
    boxes[:, axis + 2] = length - sample.boxes[:, axis]
    points = sample.polygons.points.copy()
    points[:, axis] = length - points[:, axis]
    return replace(
        sample,
        image=cv2.flip(sample.image, 1 - axis),  # OpenCV's 1 is left and right
        boxes=boxes,
        polygons=sample.polygons.at(points),
        keypoints=sample.keypoints.flipped(axis, length),
        extra=sample.extra.flipped(axis),
    )
