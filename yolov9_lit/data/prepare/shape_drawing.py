"""Coloured shapes in front of dull backgrounds: where they lie, and the pixels that show them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolov9_lit.data.prepare.scenery import Kind, Scenery

_SUPERSAMPLING = 4
_FIXED_POINT_BITS = 4
_PLACEMENT_TRIES = 30

KEYPOINTS = ("top", "bottom", "left", "right", "centre")
"""Of a shape, as the image shows it: what is left in an image is right in its mirror image."""

_DIRECTIONS = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)])


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


def place_shapes(rng: np.random.Generator, scenery: Scenery, size: int) -> list[Shape]:
    """Place shapes wholly inside the image; later ones may cover earlier ones a bit."""
    shapes: list[Shape] = []
    wanted = int(rng.integers(scenery.fewest, scenery.most + 1))
    for _ in range(_PLACEMENT_TRIES):
        shape = _random_shape(rng, scenery, size)
        if all(_overlap(shape.box, other.box) <= scenery.max_overlap for other in shapes):
            shapes.append(shape)
        if len(shapes) == wanted:
            break
    return shapes


def _random_shape(rng: np.random.Generator, scenery: Scenery, size: int) -> Shape:
    kind = scenery.kinds[int(rng.integers(len(scenery.kinds)))]
    smallest, largest = scenery.radius
    radius = (smallest + (largest - smallest) * rng.random() ** scenery.radius_skew) * size
    centre = rng.uniform(radius + 1, size - radius - 1, size=2)
    corners = _turned(rng, centre, radius * np.array(kind.radii))
    hue = kind.hue + rng.uniform(-scenery.hue_spread, scenery.hue_spread)
    return Shape(kind, centre, corners, _colour(hue, rng))


def _turned(rng: np.random.Generator, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return corners (P, 2) at equal angles and the given distances (P,), turned at random."""
    angles = rng.uniform(0, 2 * np.pi) + np.arange(len(radii)) * (2 * np.pi / len(radii))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.round(centre + directions * radii[:, None], 2)


def _colour(hue: float, rng: np.random.Generator) -> np.ndarray:
    """Return a strong colour, (3,) in 0..255."""
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.6, 1), rng.uniform(0.6, 1)))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    return float(np.prod(np.clip(sides, 0, None)) / smaller)


def draw(
    rng: np.random.Generator, scenery: Scenery, shapes: Sequence[Shape], size: int
) -> np.ndarray:
    """Draw the image as OpenCV writes it: (size, size, 3) uint8 BGR."""
    canvas = _background(rng, size)
    below = [_rubble(rng, size) for _ in range(scenery.rubble)]
    above = [_stroke(rng, size) for _ in range(scenery.strokes)]
    painted = [(shape.corners, shape.colour) for shape in shapes]
    for corners, colour in (*below, *painted, *above):
        canvas += (colour - canvas) * coverage(corners, size)[..., None]
    canvas += rng.normal(0, scenery.noise, size=canvas.shape)
    return np.ascontiguousarray(np.clip(canvas, 0, 255).round().astype(np.uint8)[..., ::-1])


def _rubble(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a ragged polygon of no kind: corners (P, 2) and colour (3,)."""
    radii = rng.uniform(0.02, 0.14) * size * rng.uniform(0.2, 1, size=int(rng.integers(5, 10)))
    return _turned(rng, rng.uniform(0, size, size=2), radii), _colour(rng.random(), rng)


def _stroke(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a thin bar across a part of the image: corners (4, 2) and colour (3,)."""
    start, stop = rng.uniform(0, size, size=(2, 2))
    way = (stop - start) / max(float(np.linalg.norm(stop - start)), 1.0)
    aside = np.array([-way[1], way[0]]) * rng.uniform(0.004, 0.012) * size
    corners = np.array([start + aside, stop + aside, stop - aside, start - aside])
    return corners, _colour(rng.random(), rng)


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
