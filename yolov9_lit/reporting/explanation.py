"""Detections beside what they come from, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from yolov9_lit.reporting.draw import draw_detections
from yolov9_lit.reporting.heat import draw_heat
from yolov9_lit.reporting.sheet import draw_sheet
from yolov9_lit.structures import Detections, KeypointLayout

SIDES = (320, 960)
"""Least and most pixels of the longer side of a drawn image: captions are of one size."""


def draw_explanation(
    image: np.ndarray,
    detections: Detections,
    heats: Sequence[np.ndarray],
    class_names: Sequence[str],
    layout: KeypointLayout | None = None,
) -> np.ndarray:
    """Draw all explained detections on the image, and beside it each one on its heat.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: those explained, boxes and keypoints in the image's pixels.
        heats: (H, W) in 0..1, one for each.
        class_names: by class index.
        layout: of the keypoints, which are not drawn without it.
    """
    side = min(max(*image.shape[:2], SIDES[0]), SIDES[1])
    tiles = [(draw_tile(image, detections, None, class_names, side, layout), "detections")]
    for i, heat in enumerate(heats):
        only = one_of(detections, i)
        text = f"heat of {told_as(only, class_names)}"
        drawn = draw_tile(image, only, heat, class_names, side, layout)
        tiles.append((drawn, text if heat.any() else f"{text}: none"))
    return draw_sheet(tiles)


def draw_tile(
    image: np.ndarray,
    detections: Detections | None,
    heat: np.ndarray | None,
    class_names: Sequence[str],
    side: int,
    layout: KeypointLayout | None = None,
) -> np.ndarray:
    """Draw detections on an image, or on a heat that lies over it.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: boxes and keypoints in the image's pixels; None for none.
        heat: (H, W) in 0..1; None for the image itself.
        class_names: by class index.
        side: pixels of the tile's longer side.
        layout: of the keypoints, which are not drawn without it.
    """
    scale = side / max(image.shape[:2])
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ground = scaled if heat is None else draw_heat(scaled, heat)
    if detections is None:
        return ground
    keypoints = detections.keypoints
    if keypoints is not None:
        keypoints = keypoints * keypoints.new_tensor([scale, scale, 1.0])
    placed = detections._replace(boxes=detections.boxes * scale, keypoints=keypoints)
    return draw_detections(ground, placed, class_names, layout)


def one_of(detections: Detections, index: int) -> Detections:
    """Return the detection of an index by itself."""
    return detections.select(slice(index, index + 1))


def told_as(detection: Detections, class_names: Sequence[str]) -> str:
    """Return the class and score of a single detection."""
    return f"{class_names[int(detection.labels)]} {float(detection.scores):.2f}"
