"""The fifteen kinds of COCO-C (Michaelis et al., arXiv 1907.07484), drawn by albumentations.

Kinds and severities are those of the paper and of ImageNet-C (arXiv 1903.12261), and where
albumentations has the same parameter so is its value. The drawing is not theirs, pixel by pixel:
figures compare models that are measured here, not with figures published elsewhere. Sizes are in
pixels of the original image.
"""

from __future__ import annotations

import albumentations as A
import cv2

from yolov9_lit.data.corruptions.elastic import Elastic
from yolov9_lit.data.corruptions.weather import Frost, Snow


def gaussian_noise(severity: int) -> A.GaussNoise:
    """Add normal noise, of that standard deviation as a share of the range, to each channel."""
    std = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return A.GaussNoise(std_range=(std, std), p=1)


def shot_noise(severity: int) -> A.ShotNoise:
    """Count so many photons where a channel is full, in linear light."""
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return A.ShotNoise(scale_range=(1 / photons, 1 / photons), p=1)


def impulse_noise(severity: int) -> A.SaltAndPepper:
    """Make that share of the pixels white or black."""
    amount = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    return A.SaltAndPepper(amount=(amount, amount), salt_vs_pepper=(0.5, 0.5), p=1)


def defocus_blur(severity: int) -> A.Defocus:
    """Blur with a disc of that radius in pixels."""
    radius, alias = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1]
    return A.Defocus(radius=(radius, radius), alias_blur=(alias, alias), p=1)


def glass_blur(severity: int) -> A.GlassBlur:
    """Swap pixels with others so far away, so many times, between two Gaussian blurs."""
    sigma, distance, times = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[
        severity - 1
    ]
    return A.GlassBlur(sigma=sigma, max_delta=distance, iterations=times, mode="fast", p=1)


def motion_blur(severity: int) -> A.MotionBlur:
    """Blur along a line of that length in pixels, in any direction, centred on each pixel."""
    length = (7, 11, 15, 21, 27)[severity - 1]
    return A.MotionBlur(
        blur_limit=(length, length), allow_shifted=False, direction_range=(0, 0), p=1
    )


def zoom_blur(severity: int) -> A.ZoomBlur:
    """Average the image with itself, enlarged about its centre up to that factor."""
    factor, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[
        severity - 1
    ]
    return A.ZoomBlur(max_factor=(factor, factor), step_factor=(step, step), p=1)


def snow(severity: int) -> Snow:
    """Let flakes fall before a whitened image."""
    settings = ((0.9, 0.04, 3, 9), (0.8, 0.06, 3, 9), (0.7, 0.08, 4, 13), (0.6, 0.1, 4, 13))
    return Snow(*(*settings, (0.5, 0.12, 5, 17))[severity - 1])


def frost(severity: int) -> Frost:
    """Lay ice over the image: what is left of it, and how much ice."""
    kept, ice = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    return Frost(kept, ice)


def fog(severity: int) -> A.PlasmaBrightnessContrast:
    """Brighten by clouds of a fractal shape, and take away contrast in them."""
    brightness, contrast = ((0.2, -0.5), (0.25, -0.65), (0.3, -0.8), (0.35, -0.9), (0.4, -1.0))[
        severity - 1
    ]
    return A.PlasmaBrightnessContrast(
        brightness_range=(brightness, brightness),
        contrast_range=(contrast, contrast),
        roughness=0.6,
        p=1,
    )


def brightness(severity: int) -> A.RandomBrightnessContrast:
    """Add that share of the range."""
    share = 0.1 * severity
    return A.RandomBrightnessContrast(
        brightness_limit=(share, share), contrast_limit=(0, 0), brightness_by_max=True, p=1
    )


def contrast(severity: int) -> A.ColorJitter:
    """Leave that share of the distance from the mean grey."""
    left = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    return A.ColorJitter(
        brightness=(1, 1), contrast=(left, left), saturation=(1, 1), hue=(0, 0), p=1
    )


def elastic_transform(severity: int) -> Elastic:
    """Move pixels by a smooth random field, and the objects with them."""
    return Elastic(distance=1.0 * severity, sigma=16)


def pixelate(severity: int) -> A.Downscale:
    """Show that share of the pixels along each side."""
    share = (0.5, 0.4, 0.3, 0.25, 0.2)[severity - 1]
    down_and_up = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST}
    return A.Downscale(scale_range=(share, share), interpolation_pair=down_and_up, p=1)


def jpeg_compression(severity: int) -> A.ImageCompression:
    """Compress as JPEG at that quality."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    return A.ImageCompression(quality_range=(quality, quality), compression_type="jpeg", p=1)
