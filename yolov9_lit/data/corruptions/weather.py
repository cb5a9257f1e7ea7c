"""Snow and frost: one transform each, as anyone may add.

Albumentations has no frost, and its snow with a texture makes holes of what becomes too bright.
COCO-C lays photographs of frost over the images; these crystals are drawn.
"""

from __future__ import annotations

from typing import Any

import albumentations as A
import cv2
import numpy as np

_TINT = np.array([0.86, 0.93, 1.0], dtype=np.float32)  # Ice is white with some blue.
_CELLS = (4, 8, 16, 32, 64)  # Of the noise, along the shorter side.


class Frost(A.ImageOnlyTransform):
    """Mixes an image with crystals: ridges of noise at several scales, as ferns of ice have."""

    def __init__(self, kept: float, ice: float) -> None:
        """Set the shares.

        Args:
            kept: of the image, 0..1.
            ice: of the crystals that is added, 0..1.
        """
        super().__init__(p=1)
        self.kept = kept
        self.ice = ice

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Grow the crystals of an image's size."""
        height, width = params["shape"][:2]
        crystals = np.zeros((height, width), dtype=np.float32)
        for octave, cells in enumerate(_CELLS):
            shape = [max(round(cells * side / min(height, width)), 2) for side in (height, width)]
            noise = self.random_generator.normal(size=shape).astype(np.float32)
            smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
            crystals += np.exp(-4 * np.abs(smooth)) / 1.5**octave  # A ridge where it is zero.
        crystals -= crystals.min()
        return {"crystals": crystals * (255 / max(float(crystals.max()), 1e-6))}

    def apply(self, img: np.ndarray, crystals: np.ndarray, **params: Any) -> np.ndarray:
        """Mix."""
        mixed = self.kept * img.astype(np.float32) + self.ice * crystals[..., None] * _TINT
        return np.clip(mixed, 0, 255).round().astype(np.uint8)


class Snow(A.ImageOnlyTransform):
    """Whitens an image, and lets flakes fall before it in one direction."""

    def __init__(self, kept: float, share: float, flake: float, streak: int) -> None:
        """Set how much.

        Args:
            kept: of the image, 0..1; the rest is its bright grey.
            share: of the places that have a flake, 0..1.
            flake: size of one in pixels.
            streak: pixels along which it is blurred.
        """
        super().__init__(p=1)
        self.kept = kept
        self.share = share
        self.flake = flake
        self.streak = streak

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Let flakes fall over an image's size."""
        height, width = params["shape"][:2]
        cells = [max(round(side / self.flake), 2) for side in (height, width)]
        noise = self.random_generator.random(size=cells, dtype=np.float32)
        flakes = np.clip(
            1 - noise / self.share, 0, None
        )  # Those of a small share stay in a larger.
        flakes = cv2.resize(flakes, (width, height), interpolation=cv2.INTER_LINEAR)
        slope = np.radians(self.random_generator.uniform(45, 135))
        line = np.zeros((self.streak, self.streak), dtype=np.float32)
        middle = self.streak // 2
        reach = np.array([np.cos(slope), np.sin(slope)]) * middle
        (x, y), (u, v) = (np.rint(middle + sign * reach).astype(int) for sign in (-1, 1))
        cv2.line(line, (int(x), int(y)), (int(u), int(v)), 1.0)
        return {"flakes": 255 * cv2.filter2D(flakes, -1, line / line.sum())}

    def apply(self, img: np.ndarray, flakes: np.ndarray, **params: Any) -> np.ndarray:
        """Mix."""
        grey = cv2.cvtColor(img, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
        white = np.maximum(img, np.minimum(1.5 * grey + 127, 255))
        falling = (flakes + flakes[::-1, ::-1])[..., None]
        mixed = self.kept * img + (1 - self.kept) * white + falling
        return np.clip(mixed, 0, 255).round().astype(np.uint8)
