"""Heat on images: where it lies, in colour over the grey image."""

from __future__ import annotations

import cv2
import numpy as np

HEAT_SHARE = 0.55
"""Of the colour in the mixture with the grey image."""


def draw_heat(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay heat over a grey copy of an image: dark blue for 0, green, yellow, red for 1.

    Args:
        image: (H, W, 3) uint8 RGB.
        heat: (H, W) or of any other size, which is scaled to the image's; in 0..1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    scaled = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    levels = np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(colours, HEAT_SHARE, grey, 1 - HEAT_SHARE, 0)
