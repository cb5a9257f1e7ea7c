"""Outlines of masks that are given pixel by pixel, as run lengths are."""

from __future__ import annotations

import cv2
import numpy as np

_FINER = 2  # OpenCV goes through the centres of a rim's pixels: of finer ones it is nearer the rim.


def outlines_of(mask: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a mask (H, W) of 0 and 1, to a quarter of a pixel.

    Each part is one outline. A hole is a part of it, to which a cut of no width leads: an odd
    number of edges lies left of what is inside, an even number of a hole.

    Returns:
        (P, 2) float32 each, xy in pixels.
    """
    x, y, width, height = cv2.boundingRect(mask)
    fine = np.kron(mask[y : y + height, x : x + width], np.ones((_FINER, _FINER), np.uint8))
    rims, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = tree[0, :, 3].tolist() if rims else []
    parts = {i: [rims[i][:, 0]] for i, parent in enumerate(parents) if parent < 0}
    for rim, parent in zip(rims, parents, strict=True):
        if parent >= 0:
            parts[parent].append(rim[:, 0])
    corner = np.array([x, y])
    return [((_joined(rims) + 0.5) / _FINER + corner).astype(np.float32) for rims in parts.values()]


def _joined(rims: list[np.ndarray]) -> np.ndarray:
    """Go around the first rim, and from its start to each hole, around it and back."""
    start = rims[0][:1]
    holes = (part for hole in rims[1:] for part in (hole, hole[:1], start))
    return np.concatenate([rims[0], start, *holes] if len(rims) > 1 else rims)
