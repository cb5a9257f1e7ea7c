"""What a tile of an image shows of its objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.annotations import ImageObjects
from yolov9_lit.data.mask_outlines import signed_area
from yolov9_lit.data.tiles import Tile

_LEAST_SIDE = 0.01  # Pixels; of less a box is none.
_LEAST_AREA = 1e-3  # Square pixels that an outline encloses.


class Part(NamedTuple):
    """What a tile shows of an object.

    Attributes:
        row: of the object among those of the image.
        box: x1, y1, x2, y2 in the tile's pixels.
        outlines: (P, 2) each, xy likewise; none for crowds.
        crowd: whether it is a region in which nothing is learnt or counted.
        keypoints: (J, 3) x, y and 0, 1 or 2; zeros outside the tile.
    """

    row: int
    box: tuple[float, ...]
    outlines: list[np.ndarray]
    crowd: bool
    keypoints: np.ndarray


def parts_in(tile: Tile, objects: ImageObjects, visible: float) -> Iterator[Part]:
    """Yield what a tile shows of an image's objects, in their order.

    Of an object with an outline the box is that of the outline's part. Where a smaller share is
    shown than wanted, the object becomes a region of a crowd, and so do crowds. Of several regions
    of a class with one box, as all that cover the tile, the first is yielded.

    Args:
        tile: part of the image.
        objects: of the image.
        visible: share, 0..1, of the outline's area, of the box's where there is none.
    """
    corner, size = np.array(tile[:2]), np.array([tile.right - tile.left, tile.bottom - tile.top])
    moved = (objects.boxes.reshape(-1, 2, 2) - corner).astype(float)
    clipped = moved.clip(0, size)
    keypoints = objects.keypoints.at(objects.keypoints.points - corner).within(*size[::-1])
    regions = set[tuple[float, ...]]()
    for k in np.flatnonzero((clipped[:, 1] - clipped[:, 0]).min(axis=1) >= _LEAST_SIDE).tolist():
        given = [outline - corner for outline in objects.polygons[k]]
        outlines = [part for part in (_clipped(o, size) for o in given) if _area(part)]
        box = clipped[k]
        if (clipped[k] == moved[k]).all():
            share = 1.0
        elif given:
            share = sum(map(_area, outlines)) / max(sum(map(_area, given)), _LEAST_AREA)
            points = np.concatenate([*outlines, np.zeros((0, 2))])
            box = np.array([points.min(axis=0), points.max(axis=0)]) if outlines else box * 0
        else:
            share = np.prod(box[1] - box[0]) / np.prod(moved[k, 1] - moved[k, 0])
        if (box[1] - box[0]).min() < _LEAST_SIDE:
            continue
        corners = tuple(box.ravel().tolist())
        if objects.crowd[k] or share < visible:
            region = (float(objects.labels[k]), *corners)
            if region not in regions:
                yield Part(k, corners, [], True, keypoints.values[k] * 0)
            regions.add(region)
        else:
            yield Part(k, corners, outlines, False, keypoints.values[k])


def _clipped(outline: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Cut an outline (P, 2) at a tile's edges, one after the other; none of it may be left.

    Sutherland and Hodgman (Communications of the ACM 17, 1974): where the outline leaves and comes
    back, edges of no width run along the tile's, so that it encloses what it did inside.
    """
    for axis in (0, 1):
        for sign, limit in ((1, 0), (-1, size[axis])):
            following = np.roll(outline, -1, axis=0)
            inside, next_inside = (sign * (p[:, axis] - limit) >= 0 for p in (outline, following))
            crosses = inside != next_inside
            way = following - outline
            share = (limit - outline[:, axis]) / np.where(crosses, way[:, axis], 1)
            crossings = outline + share[:, None] * way
            crossings[:, axis] = limit
            pairs = np.stack((outline, crossings), axis=1)
            outline = pairs[np.stack((inside, crosses), axis=1)]
    return outline


def _area(outline: np.ndarray) -> float:
    """Return what an outline (P, 2) encloses in square pixels, 0 where that is nearly nothing."""
    area = abs(signed_area(outline))
    return area if area >= _LEAST_AREA else 0.0
