"""Images decoded and scaled to the training size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.images import REDUCTIONS, ImageSource, check_size, decode_image
from yolov9_lit.data.letterbox import resize_longest


class ScaledImage(NamedTuple):
    """An image scaled to the training size.

    Attributes:
        image: (h, w, 3) uint8 RGB, its longest side the training size.
        height: of the image itself, in pixels.
        width: of the image itself, in pixels.
    """

    image: np.ndarray
    height: int
    width: int


ReadScaled = Callable[[int], ScaledImage]
"""Gives the scaled image of an index."""


@dataclass(frozen=True, eq=False)
class ScaledImages:
    """Decodes and scales on each call.

    Images at least twice as large as needed are decoded at half, a quarter or an eighth of their
    size, which JPEG files allow in a fraction of the time.

    Attributes:
        images: of a data set.
        sizes: (N, 2), their heights and widths as the annotations say.
        image_size: longest side of the result in pixels.
    """

    images: ImageSource
    sizes: np.ndarray
    image_size: int

    def __call__(self, index: int) -> ScaledImage:
        """Read an image.

        Raises:
            UnreadableImage: it is not there, is no readable image, or has another size than
                its annotations say.
        """
        encoded, name = self.images.encoded(index), self.images.name(index)
        height, width = (int(side) for side in self.sizes[index])
        fits = [r for r in REDUCTIONS if max(height, width) >= r * self.image_size]
        reduction = max(fits, default=1)
        image = decode_image(encoded, name, reduction)
        if reduction > 1 and image.shape[:2] != (-(-height // reduction), -(-width // reduction)):
            reduction = 1  # Not JPEG's way of rounding, or the annotations are mistaken.
            image = decode_image(encoded, name)
        if reduction == 1:
            check_size(image, self.sizes[index], name)
        return ScaledImage(resize_longest(image, self.image_size, smooth=False), height, width)
