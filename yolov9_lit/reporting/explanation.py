"""Detections beside what they come from, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from yolov9_lit.reporting.draw import draw_detections
from yolov9_lit.reporting.heat import draw_heat
from yolov9_lit.reporting.sheet import draw_sheet
from yolov9_lit.structures import Detections

SIDES = (320, 960)
"""Least and most pixels of the longer side of a drawn image: captions are of one size."""


def draw_explanation(
    image: np.ndarray,
    detections: Detections,
    heats: Sequence[np.ndarray],
    class_names: Sequence[str],
) -> np.ndarray:
    """Draw all explained detections on the image, and beside it each one on its heat.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: those explained, boxes in the image's pixels.
        heats: (H, W) in 0..1, one for each.
        class_names: by class index.
    """
    longest = max(image.shape[:2])
    scale = min(max(longest, SIDES[0]), SIDES[1]) / longest
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    placed = detections._replace(boxes=detections.boxes * scale)
    tiles = [(draw_detections(scaled, placed, class_names), "detections")]
    for i, heat in enumerate(heats):
        only = placed.select(slice(i, i + 1))
        text = f"heat of {class_names[int(only.labels)]} {float(only.scores):.2f}"
        drawn = draw_detections(draw_heat(scaled, heat), only, class_names)
        tiles.append((drawn, text if heat.any() else f"{text}: none"))
    return draw_sheet(tiles)
