"""Random scaling, translation, rotation and shear, in one warp."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

import cv2
import numpy as np

from yolov9_lit.data.letterbox import GREY
from yolov9_lit.data.sample import Another, Sample, clipped
from yolov9_lit.kinds import Amount, InputSide, Limits

LEAST_SIDE = 2.0
"""Pixels: narrower or lower boxes are dropped after a warp."""


class RandomAffine:
    """Warps an image of any size into a square of the training size.

    The image's centre goes to a random place near the square's. Objects that lose most of their
    area, or become tiny or thin, are dropped: less than 2 pixels wide or high, less than 10 % of
    the area left (1 % where all objects have outlines), more than 100 times as long as wide.
    """

    def __init__(
        self,
        image_size: InputSide,
        translate: Amount = 0.1,
        scale: Annotated[float, Limits(0, 0.99)] = 0.9,
        degrees: Amount = 0.0,
        shear: Annotated[float, Limits(0, 89)] = 0.0,
    ) -> None:
        """Set the ranges.

        Args:
            image_size: side of the result in pixels.
            translate: most shift of the centre, as a share of the side.
            scale: the factor is uniform in 1 - scale .. 1 + scale.
            degrees: most rotation either way.
            shear: most shear along each axis, in degrees.
        """
        self.image_size = image_size
        self.translate = translate
        self.scale = scale
        self.degrees = degrees
        self.shear = shear

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Warp an (h, w) image to (size, size)."""
        size = self.image_size
        matrix, factor = self.draw(sample.image.shape[:2], rng)
        image = cv2.warpAffine(
            sample.image,
            _of_pixel_centres(matrix),
            (size, size),
            flags=cv2.INTER_LINEAR,
            borderValue=(GREY,) * 3,
        )
        corners = sample.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
        warped = _warp(corners, matrix).reshape(-1, 4, 2)
        boxes = np.concatenate((warped.min(axis=1), warped.max(axis=1)), axis=1)
        polygons = sample.polygons.at(_warp(sample.polygons.points, matrix))
        keypoints = sample.keypoints.at(_warp(sample.keypoints.points, matrix))
        after = replace(sample, image=image, boxes=boxes, polygons=polygons, keypoints=keypoints)
        return self.settled(sample, factor, after)

    @property
    def upright(self) -> bool:
        """True where it only scales and shifts."""
        return self.degrees == self.shear == 0

    def settled(self, before: Sample, factor: float, after: Sample) -> Sample:
        """Clip the warped objects to the square and drop those that are hardly seen.

        Args:
            before: the sample before the warp.
            factor: of the scaling.
            after: the square, with boxes, outlines and keypoints where the warp moved them.
        """
        size = self.image_size
        boxes = after.boxes.copy()
        outlined = after.polygons.points_of_objects > 0
        if not self.upright:  # An outline is tighter than a box that has been turned.
            spanning = _spanning(before)
            boxes[spanning], _ = after.polygons.take(spanning).bounds()
        boxes = clipped(boxes, size, size)
        polygons = after.polygons.at(np.clip(after.polygons.points, 0, size))
        least_area = 0.01 if len(outlined) and outlined.all() else 0.1
        keep = worth_keeping(before.boxes * factor, boxes, least_area)
        keypoints = after.keypoints.within(size, size)
        return replace(after, boxes=boxes, polygons=polygons, keypoints=keypoints).keep(keep)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Draw a warp of an image (height, width): a (2, 3) matrix in pixels, its scale factor."""
        height, width = shape
        factor = rng.uniform(1 - self.scale, 1 + self.scale)
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        shear_x, shear_y = np.tan(np.radians(rng.uniform(-self.shear, self.shear, 2)))
        shift = rng.uniform(0.5 - self.translate, 0.5 + self.translate, 2) * self.image_size
        to_origin = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        cos, sin = factor * math.cos(angle), factor * math.sin(angle)
        rotate = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        slant = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
        place = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
        return (place @ slant @ rotate @ to_origin)[:2], factor


def worth_keeping(before: np.ndarray, after: np.ndarray, least_area: float) -> np.ndarray:
    """Return which boxes (K, 4) still show enough of their object after the warp, (K,) bool."""
    size_before = before[:, 2:] - before[:, :2]
    size = after[:, 2:] - after[:, :2]
    ratio = size.max(axis=1) / (size.min(axis=1) + 1e-9)
    left = size.prod(axis=1) / (size_before.prod(axis=1) + 1e-9)
    return (size > LEAST_SIDE).all(axis=1) & (left > least_area) & (ratio < 100)


def _spanning(sample: Sample) -> np.ndarray:
    """Return which objects (K,) bool have an outline that spans their box, to a tenth of it."""
    around, spanning = sample.polygons.bounds()
    boxes = sample.boxes[spanning]
    sides = boxes[:, 2:] - boxes[:, :2]
    spanning[spanning] = np.abs(around - boxes).max(axis=1) <= 0.1 * sides.max(axis=1)
    return spanning


def _warp(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def _of_pixel_centres(matrix: np.ndarray) -> np.ndarray:
    """Return the matrix for OpenCV, where whole numbers are centres of pixels, not corners."""
    half = np.full(2, 0.5)
    return np.column_stack((matrix[:, :2], _warp(half, matrix) - half))
