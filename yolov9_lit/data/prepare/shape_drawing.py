"""Coloured shapes in front of dull backgrounds: where they lie, and the pixels that show them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

_SUPERSAMPLING = 4
_FIXED_POINT_BITS = 4
_RADIUS = (0.15, 0.26)  # Of the circumscribed circle, as a share of the image's side.
_MAX_OVERLAP = 0.1  # Of two shapes' boxes, as a share of the smaller one.
_PLACEMENT_TRIES = 30

KEYPOINTS = ("top", "bottom", "left", "right", "centre")
"""Of a shape, as the image shows it: what is left in an image is right in its mirror image."""

_DIRECTIONS = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)])


class Kind(NamedTuple):
    """A kind of shape; corners lie on the circle at equal angles, `inner` ones in between."""

    category_id: int
    name: str
    corners: int
    hue: float
    inner: float | None = None


# The ids have gaps, as those of COCO do.
KINDS = (
    Kind(1, "circle", 48, 0.0),
    Kind(3, "triangle", 3, 0.25),
    Kind(7, "square", 4, 0.5),
    Kind(12, "star", 5, 0.75, inner=0.42),
)


class Shape(NamedTuple):
    """A shape in an image.

    Attributes:
        kind: of it.
        centre: (2,) xy in pixels.
        corners: (P, 2) of its outline.
        colour: (3,) in 0..255.
    """

    kind: Kind
    centre: np.ndarray
    corners: np.ndarray
    colour: np.ndarray

    @property
    def box(self) -> np.ndarray:
        """Return the tight box, (4,) xyxy."""
        return np.concatenate([self.corners.min(axis=0), self.corners.max(axis=0)])

    @property
    def keypoints(self) -> np.ndarray:
        """Return (5, 2): the outline above, below, left and right of the centre, and the centre.

        Any image shows them, however a shape is turned: they are no corners, which look alike.
        """
        starts = self.corners - self.centre
        ways = np.roll(starts, -1, axis=0) - starts
        rim = [direction * _way_out(starts, ways, direction) for direction in _DIRECTIONS]
        return np.round(self.centre + np.array([*rim, (0, 0)]), 2)

    def covers(self, point: np.ndarray) -> bool:
        """Tell whether a point (2,) lies inside or on the outline."""
        outline = self.corners.astype(np.float32)
        return cv2.pointPolygonTest(outline, tuple(point.tolist()), False) >= 0


def _way_out(starts: np.ndarray, ways: np.ndarray, direction: np.ndarray) -> float:
    """Return how far from the origin a ray meets an outline, each edge of which it may cross once.

    Args:
        starts: (P, 2) of the edges.
        ways: (P, 2) from there to the edges' ends.
        direction: (2,) of the ray, of length 1.
    """
    aside = np.array([-direction[1], direction[0]])
    before, step = starts @ aside, ways @ aside
    along = np.divide(-before, step, out=np.full(len(step), -1.0), where=step != 0)
    distance = (starts + along[:, None] * ways) @ direction
    crossed = np.abs(along - 0.5) <= 0.5 + 1e-9  # An edge's end belongs to both of its edges.
    return float(distance[crossed].max())


def place_shapes(rng: np.random.Generator, size: int) -> list[Shape]:
    """Place one to four shapes wholly inside the image; later ones may cover earlier ones a bit."""
    shapes: list[Shape] = []
    wanted = int(rng.integers(1, 5))
    for _ in range(_PLACEMENT_TRIES):
        shape = _random_shape(rng, size)
        if all(_overlap(shape.box, other.box) <= _MAX_OVERLAP for other in shapes):
            shapes.append(shape)
        if len(shapes) == wanted:
            break
    return shapes


def _random_shape(rng: np.random.Generator, size: int) -> Shape:
    kind = KINDS[int(rng.integers(len(KINDS)))]
    radius = rng.uniform(*_RADIUS) * size
    centre = rng.uniform(radius + 1, size - radius - 1, size=2)
    radii = np.full(kind.corners, radius)
    if kind.inner is not None:
        radii = np.tile([radius, radius * kind.inner], kind.corners)
    angles = rng.uniform(0, 2 * np.pi) + np.arange(len(radii)) * (2 * np.pi / len(radii))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = np.round(centre + directions * radii[:, None], 2)
    return Shape(kind, centre, corners, _colour(kind.hue + rng.uniform(-0.06, 0.06), rng))


def _colour(hue: float, rng: np.random.Generator) -> np.ndarray:
    """Return a strong colour, (3,) in 0..255."""
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.6, 1), rng.uniform(0.6, 1)))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    return float(np.prod(np.clip(sides, 0, None)) / smaller)


def draw(rng: np.random.Generator, shapes: Sequence[Shape], size: int) -> np.ndarray:
    """Draw the image as OpenCV writes it: (size, size, 3) uint8 BGR."""
    canvas = _background(rng, size)
    for shape in shapes:
        cover = coverage(shape.corners, size)[..., None]
        canvas += (shape.colour - canvas) * cover
    canvas += rng.normal(0, 5, size=canvas.shape)
    return np.ascontiguousarray(np.clip(canvas, 0, 255).round().astype(np.uint8)[..., ::-1])


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a dull gradient with a coarse texture: (size, size, 3) float around 0..255."""
    start, stop = (rng.uniform(60, 190) + rng.uniform(-15, 15, size=(2, 3))).clip(0, 255)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    mix = np.clip(0.5 + rows * np.sin(angle) + columns * np.cos(angle), 0, 1)[..., None]
    cells = int(rng.integers(4, 24))
    texture = cv2.resize(rng.normal(0, 12, size=(cells, cells)), (size, size))[..., None]
    return start + (stop - start) * mix + texture


def coverage(corners: np.ndarray, size: int) -> np.ndarray:
    """Return the share of each pixel that a polygon covers: (size, size) float in 0..1."""
    large = np.zeros((size * _SUPERSAMPLING,) * 2, dtype=np.uint8)
    centres = corners * _SUPERSAMPLING - 0.5  # From pixel corners to OpenCV's pixel centres.
    fixed = np.round(centres * 2**_FIXED_POINT_BITS).astype(np.int32)
    cv2.fillPoly(large, [fixed], 255, shift=_FIXED_POINT_BITS)
    return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA) / 255.0
