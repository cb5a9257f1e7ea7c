"""What the embedded data sets show: kinds of shapes, and how hard it is made to find them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of shape.

    Attributes:
        category_id: in COCO's files.
        name: of the category.
        radii: distances of the corners from the centre, at equal angles, the farthest being 1.
        hue: around which it is coloured, in 0..1.
    """

    category_id: int
    name: str
    radii: tuple[float, ...]
    hue: float


class Scenery(NamedTuple):
    """How images are filled.

    Attributes:
        kinds: of shapes, equally often.
        fewest: shapes an image.
        most: shapes an image.
        radius: smallest and largest circumscribed circle, as a share of the image's side.
        radius_skew: 1: all sizes equally often; above: small ones more often.
        hue_spread: farthest from a kind's own hue; 0.5 leaves the colour without meaning.
        max_overlap: of two shapes' boxes, as a share of the smaller one.
        rubble: ragged polygons of no kind, behind the shapes.
        strokes: thin bars, in front of them.
        noise: standard deviation of each pixel's, in 0..255.
    """

    kinds: tuple[Kind, ...]
    fewest: int
    most: int
    radius: tuple[float, float]
    radius_skew: float
    hue_spread: float
    max_overlap: float
    rubble: int
    strokes: int
    noise: float


def _ellipse(ratio: float, corners: int) -> tuple[float, ...]:
    angles = (2 * math.pi * i / corners for i in range(corners))
    return tuple(ratio / math.hypot(ratio * math.cos(a), math.sin(a)) for a in angles)


# The ids have gaps, as those of COCO do.
_CLEAR = (
    Kind(1, "circle", (1.0,) * 48, 0.0),
    Kind(3, "triangle", (1.0,) * 3, 0.25),
    Kind(7, "square", (1.0,) * 4, 0.5),
    Kind(12, "star", (1.0, 0.42) * 5, 0.75),
)
_ALIKE = (
    Kind(13, "ellipse", _ellipse(0.55, 48), 1 / 12),
    Kind(15, "rhombus", (1.0, 0.55) * 2, 2 / 12),
    Kind(18, "pentagon", (1.0,) * 5, 4 / 12),
    Kind(20, "hexagon", (1.0,) * 6, 5 / 12),
    Kind(21, "propeller", (1.0, 0.3) * 3, 7 / 12),
    Kind(24, "spark", (1.0, 0.36) * 4, 8 / 12),
    Kind(27, "burst", (1.0, 0.62) * 8, 10 / 12),
    Kind(31, "bow", (1.0, 1.0, 0.25) * 2, 11 / 12),
)

SCENERIES: Mapping[str, Scenery] = {
    "easy": Scenery(
        kinds=_CLEAR, fewest=1, most=4, radius=(0.15, 0.26), radius_skew=1, hue_spread=0.06,
        max_overlap=0.1, rubble=0, strokes=0, noise=5,
    ),
    "hard": Scenery(
        kinds=_CLEAR + _ALIKE, fewest=3, most=10, radius=(0.06, 0.24), radius_skew=2,
        hue_spread=0.09, max_overlap=0.4, rubble=10, strokes=4, noise=8,
    ),
}  # fmt: skip
"""By name: a small model learns the easy one within minutes, and is far from done on the hard."""
