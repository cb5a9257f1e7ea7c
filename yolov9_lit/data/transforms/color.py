"""Colour jitter in HSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from yolov9_lit.data.sample import Sample


class RandomHSV:
    """Multiplies hue, saturation and value by factors uniform in 1 - gain .. 1 + gain."""

    def __init__(self, hue: float = 0.015, saturation: float = 0.7, value: float = 0.4) -> None:
        """Set the gains, 0..1."""
        self.gains = np.array([hue, saturation, value])

    def __call__(
        self, sample: Sample, rng: np.random.Generator, another: Callable[[], Sample]
    ) -> Sample:
        """Same size, same objects."""
        if not self.gains.any():
            return sample
        factors = rng.uniform(-1, 1, (3, 1)) * self.gains[:, None] + 1
        levels = np.arange(256) * factors  # OpenCV's hue runs from 0 to 179
        levels[0] %= 180
        tables = levels.clip(0, 255).astype(np.uint8)
        planes = cv2.split(cv2.cvtColor(sample.image, cv2.COLOR_RGB2HSV))
        # A look-up by plane takes two thirds of the time of one in all three together.
        jittered = cv2.merge([cv2.LUT(*pair) for pair in zip(planes, tables, strict=True)])
        return replace(sample, image=cv2.cvtColor(jittered, cv2.COLOR_HSV2RGB))
