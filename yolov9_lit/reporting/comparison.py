"""Detections and the truth drawn on one image, each told from the other, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import cv2
import numpy as np

from yolov9_lit.reporting.draw import Outlined, draw_outlined, label_size, line_width, put_label
from yolov9_lit.reporting.lettering import line_of_ink
from yolov9_lit.reporting.skeleton import Skeleton, draw_rings, draw_skeleton

LEAST_SIDE = 320
"""Pixels of the longer side that smaller images are enlarged to: labels need room."""

Colour = tuple[int, int, int]


class Role(Enum):
    """What an outline is: its words in the legend, its colour, and whether its line is dashed."""

    RIGHT = ("right", (0, 190, 120), False)
    FALSE = ("false", (255, 140, 0), False)
    FOUND = ("annotated, found", (255, 255, 255), True)
    MISSED = ("annotated, missed", (255, 60, 200), True)
    IGNORED = ("annotated, not counted", (130, 190, 255), True)

    @property
    def words(self) -> str:
        """In the legend."""
        return self.value[0]

    @property
    def colour(self) -> Colour:
        """RGB, 0..255."""
        return self.value[1]

    @property
    def dashed(self) -> bool:
        """Whether the line is dashed: the truth's are."""
        return self.value[2]


class Shape(NamedTuple):
    """A detection or an annotated object.

    Attributes:
        xyxy: its box in the image's pixels.
        text: its label; an annotated object that was found shows none.
        role: what it is.
        outlines: of its mask, (P, 2) int32 xy each, which are drawn in place of the box.
        skeleton: its keypoints, if it has any.
    """

    xyxy: Sequence[float]
    text: str
    role: Role
    outlines: Sequence[np.ndarray] = ()
    skeleton: Skeleton | None = None


def draw_comparison(image: np.ndarray, shapes: Sequence[Shape]) -> np.ndarray:
    """Draw boxes or masks on a copy of the image, the first on top, and the legend below it.

    Keypoints of detections are joined, those of the truth rings in their box's colour.

    Args:
        image: (H, W, 3) uint8 RGB; a small one is enlarged by a whole factor.
        shapes: detections and annotated objects.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    factor = max(LEAST_SIDE // max(image.shape[:2]), 1)
    drawn = np.ascontiguousarray(image.repeat(factor, axis=0).repeat(factor, axis=1))
    width = line_width(drawn)
    placed = [shape._replace(xyxy=[factor * v for v in shape.xyxy]) for shape in reversed(shapes)]
    _draw_solid(drawn, [shape for shape in placed if not shape.role.dashed], factor, width + 1)
    for shape in placed:
        if shape.role.dashed:
            _draw_dashed(drawn, _lines(shape, factor), shape.role.colour, width)
    for shape in sorted(placed, key=lambda shape: not shape.role.dashed):
        if shape.skeleton:
            _draw_keypoints(drawn, shape.skeleton.enlarged(factor), shape.role, width)
    for shape in placed:
        if shape.role is not Role.FOUND:
            _label(drawn, shape, label_size(width))
    return np.vstack([drawn, _legend(drawn.shape[1], [shape.role for shape in shapes])])


def _draw_keypoints(image: np.ndarray, skeleton: Skeleton, role: Role, width: int) -> None:
    if role.dashed:
        draw_rings(image, skeleton, width, role.colour)
    else:
        draw_skeleton(image, skeleton, width)


def _lines(shape: Shape, factor: int) -> list[np.ndarray]:
    """Return the closed lines (P, 2) int32 that show a shape in the enlarged image."""
    if shape.outlines:
        return [factor * points + factor // 2 for points in shape.outlines]
    x1, y1, x2, y2 = (round(v) for v in shape.xyxy)
    return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.int32)]


def _draw_solid(image: np.ndarray, shapes: Sequence[Shape], factor: int, width: int) -> None:
    """Draw boxes and masks, the last on top."""
    masked = [shape for shape in shapes if shape.outlines]
    draw_outlined(image, [Outlined(_lines(s, factor), s.role.colour) for s in masked], width)
    for shape in shapes:
        if not shape.outlines:
            cv2.polylines(image, _lines(shape, factor), True, shape.role.colour, width)


def _draw_dashed(
    image: np.ndarray, lines: Sequence[np.ndarray], colour: Colour, width: int
) -> None:
    """Draw dashes on a dark line, so that they are seen on any ground."""
    cv2.polylines(image, lines, True, (0, 0, 0), width)
    for points in lines:
        closed = np.concatenate([points, points[:1]])
        cv2.polylines(image, _dashes(closed, 4 * width + 2), False, colour, width)


def _dashes(points: np.ndarray, length: int) -> list[np.ndarray]:
    """Return the dashes (K, 2) int32 along a line through points (P, 2), gaps as long as they."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    far = np.concatenate([[0.0], steps.cumsum()])
    dashes = []
    for start in np.arange(0, far[-1], 2 * length):
        end = min(start + length, far[-1])
        stops = [start, *far[(far > start) & (far < end)], end]
        dash = np.stack([np.interp(stops, far, side) for side in points.T], axis=1)
        dashes.append(dash.round().astype(np.int32))
    return dashes


def _label(image: np.ndarray, shape: Shape, size: int) -> None:
    """Write a detection's label on its box, an object's in its lower left corner."""
    left, upper, _, lower = (round(v) for v in shape.xyxy)
    height = line_of_ink(shape.text, size).shape[0]
    on_top = upper - height if upper >= height else upper
    top = lower - height if shape.role.dashed else on_top
    put_label(image, shape.text, (left, top), shape.role.colour, size)


def _legend(width: int, roles: Sequence[Role]) -> np.ndarray:
    """Return rows of the lines that are there, each with its words: (h, width, 3)."""
    size = 12 if width >= LEAST_SIDE else 10
    there = [role for role in Role if role in roles]
    if not there:
        return np.zeros((0, width, 3), np.uint8)
    words = [line_of_ink(role.words, size) for role in there]
    line, height = 2 * size, len(words[0]) + 4
    places, x, row = [], 4, 0
    for ink in words:
        if x > 4 and x + line + ink.shape[1] > width:
            x, row = 4, row + 1
        places.append((x, row * height))
        x += line + ink.shape[1] + size
    strip = np.full(((row + 1) * height, width, 3), 40, np.uint8)
    for role, (left, top) in zip(there, places, strict=True):
        middle = top + height // 2
        ends = np.array([(left, middle), (left + line, middle)])
        dashes = _dashes(ends, 5 if role.dashed else line)
        cv2.polylines(strip, dashes, False, role.colour, 2)
        put_label(strip, role.words, (left + line, top + 2), (40, 40, 40), size)
    return strip
