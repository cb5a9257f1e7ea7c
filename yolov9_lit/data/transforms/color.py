"""Colour jitter in HSV."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from yolov9_lit.data.sample import Another, Sample
from yolov9_lit.kinds import Share

_STRIP = 64  # Rows at a time: they stay in the processor's cache, which halves the time.


class RandomHSV:
    """Multiplies hue, saturation and value by factors uniform in 1 - gain .. 1 + gain."""

    def __init__(self, hue: Share = 0.015, saturation: Share = 0.7, value: Share = 0.4) -> None:
        """Set the gains, 0..1."""
        self.gains = np.array([hue, saturation, value])

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Change the colours; size and objects stay."""
        if not self.gains.any():
            return sample
        matrix = np.diag(rng.uniform(-1, 1, 3) * self.gains + 1)
        image = np.empty_like(sample.image)
        for top in range(0, len(image), _STRIP):
            rows = slice(top, top + _STRIP)
            hsv = cv2.transform(cv2.cvtColor(sample.image[rows], cv2.COLOR_RGB2HSV), matrix)
            # OpenCV's hue runs from 0 to 179; the conversion back wraps what is beyond.
            cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image[rows])
        return replace(sample, image=image)
