"""A smooth random distortion without folds, so that each object goes to one place."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from albumentations.augmentations.geometric.distortion import BaseDistortion

_REACH = 3  # Of the blur, in deviations of its Gaussian.


class Elastic(BaseDistortion):
    """Moves each pixel by normal noise that is blurred.

    Albumentations' own blurs noise whose edge is repeated: there pixels move ten times as far.
    """

    def __init__(self, distance: float, sigma: float) -> None:
        """Set how far.

        Args:
            distance: standard deviation of a pixel's way along either axis, in pixels.
            sigma: of the blur in pixels; well above `distance`, or the image folds.
        """
        super().__init__(
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_NEAREST,
            keypoint_remapping_method="direct",
            border_mode=cv2.BORDER_REFLECT_101,
            p=1,
        )
        self.distance = distance
        self.sigma = sigma

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw the field of an image's size."""
        height, width = params["shape"][:2]
        margin = math.ceil(_REACH * self.sigma)
        size = (height + 2 * margin, width + 2 * margin)
        inside = slice(margin, margin + height), slice(margin, margin + width)
        # Blurring makes white noise smaller by this factor.
        strength = 2 * self.sigma * math.sqrt(math.pi) * self.distance
        way_x, way_y = (
            strength
            * cv2.GaussianBlur(
                self.random_generator.standard_normal(size, dtype=np.float32), (0, 0), self.sigma
            )[inside]
            for _ in range(2)
        )
        rows, columns = np.indices((height, width), dtype=np.float32)
        return {"map_x": columns + way_x, "map_y": rows + way_y}
