"""Outlines drawn as a map of an image's objects: which of them each pixel shows."""

from __future__ import annotations

import numpy as np

from yolov9_lit.data.polygons import FlatPolygons, spans
from yolov9_lit.structures import MASK_STRIDE

_LAST = np.iinfo(np.int16).max


def index_map(polygons: FlatPolygons, shape: tuple[int, ...]) -> np.ndarray:
    """Draw the objects of an image, all at once, row by row.

    An outline holds a pixel if it holds its centre; one that crosses itself holds what an odd
    number of its edges lies left of, so that a cut from its rim leads to a hole. An object holds
    what one of its outlines does. Where objects overlap the one with the smaller area is on top.

    Args:
        polygons: of the objects, in pixels of the image.
        shape: (height, width) of the image, multiples of `MASK_STRIDE`.

    Returns:
        (height / MASK_STRIDE, width / MASK_STRIDE) int16: k where the k-th object is, from 1, and 0
        where none is. Objects without outlines are not drawn.
    """
    height, width = (side // MASK_STRIDE for side in shape)
    drawn = np.zeros(height * width, dtype=np.int16)
    polygon, row, start, stop = _runs(polygons, height, width)
    owners = np.repeat(np.arange(len(polygons)), np.diff(polygons.object_offsets))[polygon]
    areas = np.bincount(owners, weights=stop - start, minlength=len(polygons))
    order = np.argsort(-areas[owners], kind="stable")
    order = order[owners[order] < _LAST]
    lengths = (stop - start)[order]
    # Of the values of one pixel numpy keeps the last.
    drawn[spans((row * width + start)[order], lengths)] = np.repeat(owners[order] + 1, lengths)
    return drawn.reshape(height, width)


def _runs(polygons: FlatPolygons, height: int, width: int) -> tuple[np.ndarray, ...]:
    """Return the polygon, row, first column and end of each run of pixels inside an outline."""
    x, y = polygons.points.T.astype(float) / MASK_STRIDE
    end_x, end_y = polygons.edge_ends().T.astype(float) / MASK_STRIDE
    upper, lower = np.minimum(y, end_y), np.maximum(y, end_y)
    first, last = (np.ceil(side - 0.5).clip(0, height).astype(int) for side in (upper, lower))
    crossed = last - first  # rows whose middle an edge crosses
    edge = np.repeat(np.arange(len(x)), crossed)
    row = spans(first, crossed)
    share = (row + 0.5 - y[edge]) / (end_y - y)[edge]
    at = x[edge] + share * (end_x - x)[edge]
    column = np.ceil(at - 0.5).clip(0, width).astype(int)
    of_edge = np.repeat(np.arange(len(polygons.point_offsets) - 1), np.diff(polygons.point_offsets))
    # An outline is closed: it crosses each row's middle an even number of times.
    crossings = np.sort((of_edge[edge] * height + row) * (width + 1) + column)
    lines, start = np.divmod(crossings[::2], width + 1)
    return *np.divmod(lines, height), start, crossings[1::2] % (width + 1)
