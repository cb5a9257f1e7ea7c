"""Keypoints drawn on an image, joined to a skeleton."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolov9_lit.structures import KeypointLayout

LEFT, RIGHT, MIDDLE = (255, 140, 0), (60, 150, 255), (130, 255, 130)
"""RGB of a keypoint and of an edge by their side: of the object, not of the image."""

_CASING = (0, 0, 0)  # Around all lines and points, so that they are seen on any ground.
_HIDDEN = 1  # A keypoint's visibility that is drawn as a ring.
_SHIFT = 3  # Bits of a pixel's fractions: a keypoint is drawn where it is.


class Skeleton(NamedTuple):
    """The keypoints of one object, and what they are.

    Attributes:
        keypoints: (K, 3), x and y in the image's pixels, and 0 (not drawn), 1 (a ring) or 2.
        layout: of the K.
    """

    keypoints: np.ndarray
    layout: KeypointLayout

    def enlarged(self, factor: float) -> Skeleton:
        """Return it in an image that is enlarged by a factor."""
        return self._replace(keypoints=self.keypoints * np.array([factor, factor, 1]))


def skeletons_of(keypoints: np.ndarray, layout: KeypointLayout | None) -> list[Skeleton]:
    """Return the skeletons of N objects with keypoints (N, K, 3); none without a layout."""
    return [Skeleton(points, layout) for points in keypoints] if layout else []


def shown_keypoints(found: np.ndarray, least: float = 0.5) -> np.ndarray:
    """Return found keypoints as `Skeleton` takes them.

    Args:
        found: (..., K, 3), x, y and how visible they are, 0..1.
        least: visibility of those that are drawn.
    """
    visible = np.where(found[..., 2:] >= least, 2, 0)
    return np.concatenate([found[..., :2], visible], axis=-1)


def draw_skeleton(image: np.ndarray, skeleton: Skeleton, width: int) -> None:
    """Draw edges whose ends are both there, and the keypoints, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        skeleton: what to draw.
        width: pixels of the lines; those of a small object are finer.
    """
    points, visible = skeleton.keypoints[:, :2], skeleton.keypoints[:, 2]
    if not visible.any():
        return
    extent = float(np.ptp(points[visible > 0], axis=0).max())
    width = max(min(width, round(extent / 30)), 1)
    places = [_fixed(point) for point in points]
    sides = side_colours(skeleton.layout)
    edges = [(a, b) for a, b in skeleton.layout.edges if visible[a] and visible[b]]
    for a, b in edges:
        cv2.line(image, places[a], places[b], _CASING, width + 2, cv2.LINE_AA, _SHIFT)
    for a, b in edges:
        colour = edge_colour(sides[a], sides[b])
        cv2.line(image, places[a], places[b], colour, width, cv2.LINE_AA, _SHIFT)
    for place, seen, colour in zip(places, visible.tolist(), sides, strict=True):
        if seen:
            inner = _CASING if seen == _HIDDEN else colour
            _disc(image, place, 2 * width + 1, _CASING)
            _disc(image, place, 2 * width, colour)
            _disc(image, place, width, inner)


def draw_rings(
    image: np.ndarray, skeleton: Skeleton, width: int, colour: tuple[int, int, int]
) -> None:
    """Draw a ring of a colour around each keypoint, in place; see `draw_skeleton`."""
    points = skeleton.keypoints[skeleton.keypoints[:, 2] > 0, :2]
    for ring, thickness in ((_CASING, 3 * width), (colour, width)):
        for point in points:
            radius = (3 * width + 2) << _SHIFT
            cv2.circle(image, _fixed(point), radius, ring, thickness, cv2.LINE_AA, _SHIFT)


def side_colours(layout: KeypointLayout) -> list[tuple[int, int, int]]:
    """Return the colour of each keypoint's side.

    Of two that change places in a mirrored image, the names tell which is the left one where they
    first differ (left_eye and right_eye, eyeL and eyeR); the first of them where they do not.
    """
    colours = [MIDDLE] * len(layout.names)
    for here, there in enumerate(layout.mirrored):
        if here < there:
            is_right = _first_is_right(layout.names[here], layout.names[there])
            pair = (RIGHT, LEFT) if is_right else (LEFT, RIGHT)
            colours[here], colours[there] = pair
    return colours


def edge_colour(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the colour of an edge between two keypoints: of the side that neither contradicts."""
    sides = {one, other} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE


def _first_is_right(one: str, other: str) -> bool:
    pair = next(((a, b) for a, b in zip(one, other, strict=False) if a != b), ("l", "r"))
    return (pair[0].lower(), pair[1].lower()) == ("r", "l")


def _fixed(point: np.ndarray) -> Sequence[int]:
    x, y = (round((float(v) - 0.5) * 2**_SHIFT) for v in point)
    return x, y


def _disc(
    image: np.ndarray, place: Sequence[int], radius: int, colour: tuple[int, int, int]
) -> None:
    cv2.circle(image, place, radius << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
