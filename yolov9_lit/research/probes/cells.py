"""Feature maps of any size as the same number of samples of few dimensions: one sample a cell.

A cell is what one position of P5 stands for, 32 x 32 pixels of the input. Layers of any depth and
width thus answer the same question with the same number of samples and of free parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.research.figures.inputs import Subject

CELL = 32
"""Pixels of the input along a cell's side."""

DETAIL = 4
"""Places along a cell's side at which a map is averaged; maps with fewer are taken as they are."""

BACKGROUND = -1
"""Label of a cell that no object covers."""


class Images(NamedTuple):
    """What is probed on.

    Attributes:
        pixels: (B, 3, S, S) float in 0..1.
        labels: (B, S / CELL, S / CELL) int64: class of the smallest box around each cell's
            centre, or BACKGROUND; None where no boxes are known.
    """

    pixels: Tensor
    labels: Tensor | None


def cells_of(maps: Tensor, grid: int) -> Tensor:
    """Cut maps into cells.

    Args:
        maps: (B, C, h, w), square, h a multiple of `grid` or at least `grid`.
        grid: cells along each side.

    Returns:
        (B * grid * grid, C * d * d), d = min(DETAIL, h // grid).
    """
    detail = max(min(DETAIL, maps.shape[2] // grid), 1)
    pooled = F.adaptive_avg_pool2d(maps, grid * detail)
    patches = F.unfold(pooled, detail, stride=detail)
    return patches.transpose(1, 2).reshape(len(maps) * grid * grid, -1)


def projected(samples: Tensor, dimensions: int) -> Tensor:
    """Project samples by a random Gaussian matrix, the same each time, if they have more.

    Args:
        samples: (N, D).
        dimensions: most that remain.

    Returns:
        (N, min(D, dimensions)).
    """
    width = samples.shape[1]
    if width <= dimensions:
        return samples
    generator = torch.Generator().manual_seed(width)
    matrix = torch.randn(width, dimensions, generator=generator, dtype=samples.dtype)
    return samples @ matrix / dimensions**0.5


def make_images(subjects: list[Subject], image_size: int, with_boxes: bool) -> Images:
    """Scale images, and their boxes, to squares.

    Args:
        subjects: images and boxes.
        image_size: S, in pixels; the aspect ratio is not kept, so that no cell is padding.
        with_boxes: whether the boxes are known.
    """
    side = (image_size, image_size)
    scaled = [cv2.resize(s.image, side, interpolation=cv2.INTER_AREA) for s in subjects]
    pixels = torch.from_numpy(np.stack(scaled)).permute(0, 3, 1, 2).float() / 255
    if not with_boxes:
        return Images(pixels, None)
    labels = np.stack([_labels(s, image_size // CELL) for s in subjects])
    return Images(pixels, torch.from_numpy(labels))


def _labels(subject: Subject, grid: int) -> np.ndarray:
    height, width = subject.image.shape[:2]
    boxes = subject.boxes / np.array([width, height, width, height], np.float32)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    found = np.full((grid, grid), BACKGROUND, np.int64)
    centres = (np.arange(grid) + 0.5) / grid
    for index in np.argsort(-areas, kind="stable"):  # Small ones last: they cover the others.
        left, top, right, bottom = boxes[index]
        rows, columns = (top <= centres) & (centres < bottom), (left <= centres) & (centres < right)
        found[np.ix_(rows, columns)] = subject.labels[index]
    return found
