"""An object's outlines as the one that a line of a YOLO label file has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import hotcoco.mask
import numpy as np

from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.mask_outlines import joined, outlines_of, signed_area


class OneOutline(NamedTuple):
    """An outline, and how it was made.

    Attributes:
        points: (P, 2) xy in pixels, inside the image.
        boxed: it is the box of an object that has no outline.
        parts: it joins several.
        overlapping: it goes around parts that overlap, along the pixels that they cover.
    """

    points: np.ndarray
    boxed: bool = False
    parts: bool = False
    overlapping: bool = False

    def beside(self, box: Sequence[float]) -> float:
        """Return by how many pixels the outline's own box is off another one."""
        bounds = [*self.points.min(axis=0), *self.points.max(axis=0)]
        return float(np.abs(np.subtract(bounds, box)).max())


def one_outline(item: SoundObject, size: tuple[int, int]) -> OneOutline:
    """Return an object's outline; of several that of their union.

    Readers fill what an odd number of edges lies left of. Parts that do not overlap are joined by
    cuts of no width, which changes nothing. Where parts overlap that would make a hole: there the
    pixels that they cover are outlined.

    Args:
        item: an object with outlines, or with a box alone.
        size: height and width of its image.
    """
    if not item.outlines:
        x1, y1, x2, y2 = item.box
        return OneOutline(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]), boxed=True)
    parts = [np.clip(np.reshape(part, (-1, 2)), 0, size[::-1]) for part in item.outlines]
    if len(parts) == 1:
        return OneOutline(parts[0])
    covered = hotcoco.mask.fr_py_objects([part.ravel().tolist() for part in parts], *size)
    union = hotcoco.mask.merge(covered)
    overlapping = int(sum(hotcoco.mask.area(covered))) > int(hotcoco.mask.area(union))
    if overlapping:
        parts = outlines_of(np.ascontiguousarray(hotcoco.mask.decode(union)))
    # All turn the same way, so that the area of the whole is the sum of theirs.
    turned = [part if signed_area(part) >= 0 else part[::-1] for part in parts]
    return OneOutline(joined(turned), parts=True, overlapping=overlapping)
