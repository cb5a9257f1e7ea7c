"""Kinds that a camera in use meets and COCO-C lacks: darkness and a lens's distortion."""

from __future__ import annotations

import albumentations as A
import cv2


def low_light(severity: int) -> A.Sequential:
    """Expose with a share of the light, each severity half of the one before, in few photons.

    A sensor's shot noise grows as light is lost: so many photons are left where a channel was full.
    """
    light = 0.5 ** (severity + 1)
    darker = light ** (1 / 2.2)  # of linear light, on values that are coded with gamma 2.2
    noise = 1 / 1000
    return A.Sequential(
        [
            A.MultiplicativeNoise(multiplier=(darker, darker), p=1),
            A.ShotNoise(scale_range=(noise, noise), p=1),
        ],
        p=1,
    )


def lens_distortion(severity: int) -> A.OpticalDistortion:
    """Distort as a wide lens does, and move the objects with it: straight lines bulge outwards."""
    strength = (0.05, 0.1, 0.2, 0.3, 0.4)[severity - 1]
    return A.OpticalDistortion(
        distort_limit=(strength, strength),
        mode="camera",
        border_mode=cv2.BORDER_CONSTANT,
        fill=0,
        p=1,
    )
