"""Where tiles lie in an image: those that a data set is cut into and those that are looked at."""

from __future__ import annotations

import math
from typing import NamedTuple


class Tile(NamedTuple):
    """A part of an image, in its pixels.

    Attributes:
        left: first column.
        top: first row.
        right: behind its last column.
        bottom: behind its last row.
    """

    left: int
    top: int
    right: int
    bottom: int


def tiles_of(height: int, width: int, side: int, overlap: float) -> list[Tile]:
    """Return tiles of one size that cover an image, row by row, as SAHI slices (arXiv 2202.06934).

    They lie at equal distances, the outermost along the image's borders.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
        side: of a tile in pixels; an image that is no larger is one tile.
        overlap: share of a tile that its neighbour shows too, at least, 0..0.9. Objects up to that
            size are whole in some tile.
    """
    rows, columns = (_starts(length, side, overlap) for length in (height, width))
    return [
        Tile(left, top, min(left + side, width), min(top + side, height))
        for top in rows
        for left in columns
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Return where tiles begin along a side of the image."""
    if side >= length:
        return [0]
    step = max(side - math.ceil(side * overlap), 1)
    count = math.ceil((length - side) / step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]
