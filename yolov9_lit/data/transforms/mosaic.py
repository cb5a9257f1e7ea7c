"""Mosaic: four images around a random point (YOLOv4, arXiv 2004.10934)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.letterbox import GREY
from yolov9_lit.data.sample import Another, Sample, clipped
from yolov9_lit.kinds import InputSide, Share


class Tile(NamedTuple):
    """A piece of an image on a canvas: (h, w, 3) uint8, its corner at (left, top)."""

    image: np.ndarray
    left: int
    top: int


class Scene(NamedTuple):
    """A mosaic before it is drawn.

    Attributes:
        tiles: what is seen of the images, side by side.
        objects: K objects on a blank canvas.
        owners: (K,) int64, the tile that shows an object.
    """

    tiles: tuple[Tile, ...]
    objects: Sample
    owners: np.ndarray


class Mosaic:
    """Puts the sample and three others on a grey canvas of twice the size.

    The images meet in a point drawn uniformly from the canvas's middle half. A following
    `RandomAffine` cuts the canvas to the training size.
    """

    closes = True

    def __init__(self, image_size: InputSide, p: Share = 1.0) -> None:
        """Set the probability.

        Args:
            image_size: training size in pixels, half of the canvas.
            p: 0..1.
        """
        self.image_size = image_size
        self.p = p

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Turn an (h, w) image into a (2 x size, 2 x size) canvas."""
        scene = self.arrange(sample, rng, another)
        if scene is None:
            return sample
        canvas = scene.objects.image.copy()
        for image, left, top in scene.tiles:
            canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
        return replace(scene.objects, image=canvas)

    def arrange(self, sample: Sample, rng: np.random.Generator, another: Another) -> Scene | None:
        """Draw the other images and their places; None where the sample stays alone."""
        if rng.random() >= self.p:
            return None
        side = 2 * self.image_size
        blank = np.broadcast_to(np.uint8(GREY), (side, side, 3))
        x, y = rng.uniform(side / 4, 3 * side / 4, 2).astype(int).tolist()
        tiles, placed = [], []
        group = (sample, another(), another(), another())
        for i, k in enumerate(rng.permutation(4)):
            height, width = group[k].image.shape[:2]
            left = x - width if i % 2 == 0 else x
            top = y - height if i < 2 else y
            tiles.append(_visible(group[k].image, left, top, side))
            placed.append(group[k].moved(blank, left, top))
        merged = placed[0].with_objects_of(placed[1:])
        boxes = clipped(merged.boxes, side, side)
        seen = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        owners = np.repeat(np.arange(4), [len(part.boxes) for part in placed])
        objects = replace(
            merged,
            boxes=boxes,
            polygons=merged.polygons.at(np.clip(merged.polygons.points, 0, side)),
            keypoints=merged.keypoints.within(side, side),
        )
        return Scene(tuple(tiles), objects.keep(seen), owners[seen])


def _visible(image: np.ndarray, left: int, top: int, side: int) -> Tile:
    """Return the part of an image that lies on the canvas, a view."""
    x, y = max(left, 0), max(top, 0)
    return Tile(image[y - top : max(side - top, 0), x - left : max(side - left, 0)], x, y)
