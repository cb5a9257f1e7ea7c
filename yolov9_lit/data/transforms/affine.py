"""Random scaling, translation, rotation and shear, in one warp."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from yolov9_lit.data.letterbox import GREY
from yolov9_lit.data.sample import Polygons, Sample, clipped


class RandomAffine:
    """Warps a picture of any size into a square of the training size.

    The picture's centre goes to a random place near the square's. Objects that lose most of their
    area, or become tiny or thin, are dropped: less than 2 pixels wide or high, less than 10 % of
    the area left (1 % where all objects have outlines), more than 100 times as long as wide.
    """

    def __init__(
        self,
        image_size: int,
        translate: float = 0.1,
        scale: float = 0.9,
        degrees: float = 0.0,
        shear: float = 0.0,
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

    def __call__(
        self, sample: Sample, rng: np.random.Generator, another: Callable[[], Sample]
    ) -> Sample:
        """(h, w) picture -> (size, size)."""
        size = self.image_size
        matrix, factor = self._matrix(sample.image.shape[:2], rng)
        image = cv2.warpAffine(
            sample.image, matrix[:2], (size, size), flags=cv2.INTER_LINEAR, borderValue=(GREY,) * 3
        )
        linear = matrix[:2].astype(np.float32)
        polygons = tuple(tuple(_warp(q, linear) for q in p) for p in sample.polygons)
        boxes = clipped(_warp_boxes(sample.boxes, polygons, linear), size, size)
        edges = np.array([size, size], dtype=np.float32)
        polygons = tuple(tuple(np.clip(q, 0, edges) for q in p) for p in polygons)
        outlined = bool(polygons) and all(polygons)
        keep = worth_keeping(sample.boxes * factor, boxes, 0.01 if outlined else 0.1)
        return Sample(image, boxes, sample.labels, polygons).keep(keep)

    def _matrix(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """A (3, 3) matrix in pixels and its scale factor."""
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
        return place @ slant @ rotate @ to_origin, factor


def worth_keeping(before: np.ndarray, after: np.ndarray, least_area: float) -> np.ndarray:
    """Which boxes (K, 4) still show enough of their object after a warp and clipping, (K,) bool."""
    size_before = before[:, 2:] - before[:, :2]
    size = after[:, 2:] - after[:, :2]
    ratio = size.max(axis=1) / (size.min(axis=1) + 1e-9)
    left = size.prod(axis=1) / (size_before.prod(axis=1) + 1e-9)
    return (size > 2).all(axis=1) & (left > least_area) & (ratio < 100)


def _warp(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _warp_boxes(boxes: np.ndarray, polygons: Polygons, matrix: np.ndarray) -> np.ndarray:
    """Boxes around the warped corners; around the warped (4, 2) outlines where there are any."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    warped = _warp(corners, matrix).reshape(-1, 4, 2)
    result = np.concatenate((warped.min(axis=1), warped.max(axis=1)), axis=1).astype(np.float32)
    for i, outlines in enumerate(polygons):
        if outlines:
            points = np.concatenate(outlines)
            result[i] = (*points.min(axis=0), *points.max(axis=0))
    return result
