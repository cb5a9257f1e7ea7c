"""Mosaic, copy-paste and scaling in one step that draws each pixel once.

One after the other, the three fill a canvas of four times the training area, copy it to paste
objects, and warp it. Here each tile, and each pasted copy, is scaled straight into the square.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from yolov9_lit.data.letterbox import GREY
from yolov9_lit.data.sample import Another, Sample
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.copy_paste import CopyPaste, filled, with_copies
from yolov9_lit.data.transforms.mosaic import Mosaic, Scene, Tile


class OneWarp:
    """The sample that the three transforms make one after the other, from the same draws.

    Tiles begin and end at whole pixels of the result, and their objects with them: both lie within
    a pixel of where the three put them.
    """

    def __init__(self, mosaic: Mosaic, copy_paste: CopyPaste, affine: RandomAffine) -> None:
        """Set the three; the affine must be upright."""
        self.mosaic = mosaic
        self.copy_paste = copy_paste
        self.affine = affine

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Turn an (h, w) image into a (size, size) one."""
        scene = self.mosaic.arrange(sample, rng, another)
        if scene is None:
            return self.affine(self.copy_paste(sample, rng, another), rng, another)
        copied = self.copy_paste.choose(scene.objects, rng)
        before = with_copies(scene.objects, copied)
        matrix, factor = self.affine.draw(before.image.shape[:2], rng)
        size = self.affine.image_size
        tiles = [*scene.tiles, *_mirrored_tiles(scene, copied)]
        places = [_place(tile, factor, matrix[:, 2].tolist(), size) for tile in tiles]
        owners = np.concatenate((scene.owners, np.arange(len(scene.tiles), len(tiles))))
        image = np.full((size, size, 3), GREY, dtype=np.uint8)
        after = _moved(before, tiles, places, owners, image)
        first_copy = len(scene.owners) - len(scene.tiles)
        for i, (tile, place) in enumerate(zip(tiles, places, strict=True)):
            if place:
                outlines = after.polygons[first_copy + i] if i >= len(scene.tiles) else ()
                place.draw(tile.image, image, outlines)
        return self.affine.settled(before, factor, after)


def fused(transforms: Sequence[Callable[..., Sample]]) -> list[Callable[..., Sample]]:
    """Put a `OneWarp` for each sequence of mosaic, copy-paste (or not) and upright affine.

    Subclasses are left as they are: they may do something else.
    """
    steps = list(transforms)
    for start in range(len(steps)):
        for stop in (start + 2, start + 3):
            one = _one_warp(steps[start:stop])
            steps[start:stop] = [one] if one else steps[start:stop]
    return steps


def _one_warp(steps: Sequence[Callable[..., Sample]]) -> OneWarp | None:
    if len(steps) < 2:
        return None
    mosaic, *between, affine = steps
    (copy_paste,) = between or (CopyPaste(0),)
    if type(mosaic) is not Mosaic or type(copy_paste) is not CopyPaste:
        return None
    if type(affine) is not RandomAffine or not affine.upright:
        return None
    return OneWarp(mosaic, copy_paste, affine)


class _Span(NamedTuple):
    """One axis of a place: the pixels first:last of a tile go to start:stop of the result."""

    first: int
    last: int
    start: int
    stop: int

    @property
    def factor(self) -> float:
        return (self.stop - self.start) / (self.last - self.first)

    def visible(self, size: int) -> tuple[slice, slice]:
        """Return the part of start:stop inside the result, and the same counted from `start`."""
        start, stop = max(self.start, 0), min(self.stop, size)
        return slice(start, stop), slice(start - self.start, stop - self.start)


class _Place(NamedTuple):
    """The rectangle of a tile that is drawn, and where."""

    x: _Span
    y: _Span

    def draw(self, image: np.ndarray, target: np.ndarray, outlines: Sequence[np.ndarray]) -> None:
        """Scale a tile to its place; draw only inside the outlines, if there are any."""
        piece = image[self.y.first : self.y.last, self.x.first : self.x.last]
        shape = (self.x.stop - self.x.start, self.y.stop - self.y.start)
        rows, piece_rows = self.y.visible(len(target))
        columns, piece_columns = self.x.visible(len(target))
        scaled = cv2.resize(piece, shape, interpolation=cv2.INTER_LINEAR)
        scaled = scaled[piece_rows, piece_columns]
        if not outlines:
            target[rows, columns] = scaled
            return
        corner = np.array([columns.start, rows.start])
        mask = filled(scaled.shape[:2], (points - corner for points in outlines))
        target[rows, columns] = cv2.copyTo(scaled, mask, target[rows, columns].copy())


def _place(tile: Tile, factor: float, shift: Sequence[float], size: int) -> _Place | None:
    """Return the place of a tile under x * factor + shift, None where it is not seen."""
    height, width = tile.image.shape[:2]
    x = _span(tile.left, width, factor, shift[0], size)
    y = _span(tile.top, height, factor, shift[1], size)
    return _Place(x, y) if x and y else None


def _span(corner: int, length: int, factor: float, shift: float, size: int) -> _Span | None:
    first = max(corner, math.floor(-shift / factor))
    last = min(corner + length, math.ceil((size - shift) / factor))
    start, stop = (round(edge * factor + shift) for edge in (first, last))
    seen = first < last and start < stop and start < size and stop > 0
    return _Span(first - corner, last - corner, start, stop) if seen else None


def _moved(
    sample: Sample,
    tiles: Sequence[Tile],
    places: Sequence[_Place | None],
    owners: np.ndarray,
    image: np.ndarray,
) -> Sample:
    """Move objects to where their tiles `owners` (K,) are drawn; unseen ones become empty."""
    maps = np.zeros((len(places), 2, 2), dtype=np.float32)  # by tile: factors, shifts; in x, y
    for i, (tile, place) in enumerate(zip(tiles, places, strict=True)):
        if place:
            factors = np.array([place.x.factor, place.y.factor])
            firsts = np.array([tile.left + place.x.first, tile.top + place.y.first])
            maps[i] = factors, np.array([place.x.start, place.y.start]) - firsts * factors
    factors, shifts = maps[owners].transpose(1, 0, 2)[:, :, None]
    corners = sample.boxes.reshape(-1, 2, 2) * factors + shifts
    keypoints = sample.keypoints.at(sample.keypoints.points * factors + shifts)
    factors, shifts = maps[np.repeat(owners, sample.polygons.points_of_objects)].transpose(1, 0, 2)
    polygons = sample.polygons.at(sample.polygons.points * factors + shifts)
    boxes = corners.reshape(-1, 4)
    return replace(sample, image=image, boxes=boxes, polygons=polygons, keypoints=keypoints)


def _mirrored_tiles(scene: Scene, copied: np.ndarray) -> list[Tile]:
    """Return for each copied object the mirror image of its box, where the copy lies."""
    side = scene.objects.image.shape[1]
    boxes = scene.objects.boxes[copied].tolist()  # Each is seen in its tile; outlines need not be.
    result = []
    for owner, (x1, y1, x2, y2) in zip(scene.owners[copied], boxes, strict=True):
        image, left, top = scene.tiles[owner]
        x, y = max(math.floor(x1) - 1 - left, 0), max(math.floor(y1) - 1 - top, 0)
        piece = image[y : math.ceil(y2) + 1 - top, x : math.ceil(x2) + 1 - left]
        corner = side - left - x - piece.shape[1]
        result.append(Tile(cv2.flip(piece, 1), corner, top + y))
    return result
