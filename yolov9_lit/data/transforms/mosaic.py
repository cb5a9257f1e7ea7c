"""Mosaic: four pictures around a random point (YOLOv4, arXiv 2004.10934)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from yolov9_lit.data.letterbox import GREY
from yolov9_lit.data.sample import Sample, clipped, moved


class Mosaic:
    """Puts the sample and three others on a canvas of twice the size, grey where nothing lies.

    The pictures meet in a point drawn uniformly from the canvas's middle half. A following
    `RandomAffine` cuts the canvas to the training size.
    """

    closes = True

    def __init__(self, image_size: int, p: float = 1.0) -> None:
        """Set the probability.

        Args:
            image_size: training size in pixels, half of the canvas.
            p: 0..1.
        """
        self.image_size = image_size
        self.p = p

    def __call__(
        self, sample: Sample, rng: np.random.Generator, another: Callable[[], Sample]
    ) -> Sample:
        """(h, w) picture -> (2 x size, 2 x size) canvas."""
        if rng.random() >= self.p:
            return sample
        side = 2 * self.image_size
        canvas = np.full((side, side, 3), GREY, dtype=np.uint8)
        x, y = rng.uniform(side / 4, 3 * side / 4, 2).astype(int)
        tiles = []
        group = (sample, another(), another(), another())
        for i, k in enumerate(rng.permutation(4)):
            tile = group[k]
            height, width = tile.image.shape[:2]
            left = x - width if i % 2 == 0 else x
            top = y - height if i < 2 else y
            tiles.append(_paste(canvas, tile, left, top))
        merged = tiles[0].with_objects_of(tiles[1:])
        return merged.keep(_has_area(merged.boxes))


def _paste(canvas: np.ndarray, tile: Sample, left: int, top: int) -> Sample:
    """Write the tile's visible part on the canvas; its objects in the canvas's coordinates."""
    side = len(canvas)
    height, width = tile.image.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, side), min(top + height, side)
    canvas[y1:y2, x1:x2] = tile.image[y1 - top : y2 - top, x1 - left : x2 - left]
    placed = moved(tile, canvas, left, top)
    edges = np.array([side, side], dtype=np.float32)
    return Sample(
        image=canvas,
        boxes=clipped(placed.boxes, side, side),
        labels=placed.labels,
        polygons=tuple(tuple(np.clip(q, 0, edges) for q in p) for p in placed.polygons),
    )


def _has_area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
