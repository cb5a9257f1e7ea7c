"""Outlines of masks that are given pixel by pixel, as run lengths are, and several in one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_FINER = 2  # OpenCV goes through the centres of a rim's pixels: of finer ones each has one edge.


def outlines_of(mask: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a mask (H, W) of 0 and 1, along the edges of its pixels.

    Each part is one outline. A hole is a part of it, to which a cut of no width leads: an odd
    number of edges lies left of what is inside, an even number of a hole.

    Returns:
        (P, 2) float32 each, xy in pixels.
    """
    x, y, width, height = cv2.boundingRect(mask)
    fine = np.kron(mask[y : y + height, x : x + width], np.ones((_FINER, _FINER), np.uint8))
    rims, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = tree[0, :, 3].tolist() if rims else []
    edges = [_edges(rim[:, 0]) + np.array([x, y], np.float32) for rim in rims]
    parts = {i: [edges[i]] for i, parent in enumerate(parents) if parent < 0}
    for hole, parent in zip(edges, parents, strict=True):
        if parent >= 0:
            parts[parent].append(hole)
    return [joined(outlines) for outlines in parts.values()]


def joined(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """Join outlines (P, 2) to one: cuts of no width lead from the first ones to the next.

    It holds what an odd number of them does: parts that do not overlap, or a part but for its
    holes.
    """
    whole, *others = outlines
    for part in others:
        # Not always the shortest cut, but one that is found without comparing all with all.
        here = _nearest(whole, part[0])
        there = _nearest(part, whole[here])
        around = (part[there:], part[: there + 1])
        whole = np.concatenate([whole[: here + 1], *around, whole[here:]])
    return whole


def signed_area(outline: np.ndarray) -> float:
    """Return what an outline (P, 2) encloses in square pixels, below 0 where it turns left."""
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    return float((x * next_y - next_x * y).sum() / 2)


def _edges(rim: np.ndarray) -> np.ndarray:
    """Return the edges that a rim of fine pixels (P, 2) lies along: the nearest whole numbers."""
    corners = np.rint((rim + 0.5) / _FINER).astype(np.float32)
    return corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]


def _nearest(points: np.ndarray, point: np.ndarray) -> int:
    return int(((points - point) ** 2).sum(axis=1).argmin())
