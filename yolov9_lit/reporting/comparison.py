"""Detections and the truth drawn on one image, each told from the other, with a legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

import cv2
import numpy as np

from yolov9_lit.reporting.draw import label_size, line_width, put_label
from yolov9_lit.reporting.lettering import line_of_ink
from yolov9_lit.reporting.skeleton import Skeleton, draw_rings, draw_skeleton

LEAST_SIDE = 320
"""Pixels of the longer side that smaller images are enlarged to: labels need room."""

Colour = tuple[int, int, int]


class Role(Enum):
    """What a box is: its words in the legend, its colour, and whether its line is dashed."""

    RIGHT = ("right", (0, 190, 120), False)
    FALSE = ("false", (255, 140, 0), False)
    FOUND = ("annotated, found", (255, 255, 255), True)
    MISSED = ("annotated, missed", (255, 60, 200), True)
    CROWD = ("annotated, a crowd", (130, 190, 255), True)

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


class Box(NamedTuple):
    """A detection or an annotated object.

    Attributes:
        xyxy: in the image's pixels.
        text: its label; an annotated object that was found shows none.
        role: what it is.
        skeleton: its keypoints, if it has any.
    """

    xyxy: Sequence[float]
    text: str
    role: Role
    skeleton: Skeleton | None = None


def draw_comparison(image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """Draw boxes on a copy of the image, the first on top, and the legend below it.

    Keypoints of detections are joined, those of the truth rings in their box's colour.

    Args:
        image: (H, W, 3) uint8 RGB; a small one is enlarged by a whole factor.
        boxes: detections and annotated objects.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    factor = max(LEAST_SIDE // max(image.shape[:2]), 1)
    drawn = np.ascontiguousarray(image.repeat(factor, axis=0).repeat(factor, axis=1))
    width = line_width(drawn)
    placed = [([round(factor * v) for v in box.xyxy], box) for box in boxes]
    for xyxy, box in reversed(placed):
        if not box.role.dashed:
            cv2.rectangle(drawn, xyxy[:2], xyxy[2:], box.role.colour, width + 1)
    for xyxy, box in reversed(placed):
        if box.role.dashed:
            _draw_dashed_box(drawn, xyxy, box.role.colour, width)
    for box in sorted(boxes, key=lambda box: not box.role.dashed):
        if box.skeleton:
            _draw_keypoints(drawn, box.skeleton.enlarged(factor), box.role, width)
    for xyxy, box in reversed(placed):
        if box.role is not Role.FOUND:
            _label(drawn, xyxy, box, label_size(width))
    return np.vstack([drawn, _legend(drawn.shape[1], [box.role for box in boxes])])


def _draw_keypoints(image: np.ndarray, skeleton: Skeleton, role: Role, width: int) -> None:
    if role.dashed:
        draw_rings(image, skeleton, width, role.colour)
    else:
        draw_skeleton(image, skeleton, width)


def _label(image: np.ndarray, xyxy: Sequence[int], box: Box, size: int) -> None:
    """Write a detection's label on its box, an object's in its lower left corner."""
    height = line_of_ink(box.text, size).shape[0]
    on_top = xyxy[1] - height if xyxy[1] >= height else xyxy[1]
    top = xyxy[3] - height if box.role.dashed else on_top
    put_label(image, box.text, (xyxy[0], top), box.role.colour, size)


def _draw_dashed_box(image: np.ndarray, box: Sequence[int], colour: Colour, width: int) -> None:
    """Draw dashes on a dark line, so that they are seen on any ground."""
    x1, y1, x2, y2 = box
    cv2.rectangle(image, (x1, y1), (x2, y2), (0, 0, 0), width)
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        for a, b in _dashes(start, end, 4 * width + 2):
            cv2.line(image, a, b, colour, width)


def _dashes(
    start: tuple[int, int], end: tuple[int, int], length: int
) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the ends of dashes along a horizontal or vertical line, gaps as long as they."""
    a, b = np.array(start), np.array(end)
    distance = int(np.abs(b - a).max())
    step = np.sign(b - a)
    for place in range(0, distance, 2 * length):
        first, last = a + place * step, a + min(place + length, distance) * step
        yield (int(first[0]), int(first[1])), (int(last[0]), int(last[1]))


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
        dashes = _dashes((left, middle), (left + line, middle), 5 if role.dashed else line)
        for a, b in dashes:
            cv2.line(strip, a, b, role.colour, 2)
        put_label(strip, role.words, (left + line, top + 2), (40, 40, 40), size)
    return strip
