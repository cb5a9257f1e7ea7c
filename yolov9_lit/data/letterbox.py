"""Centred letterbox with grey 114, as the published evaluation and prediction pad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from yolov9_lit.structures import Detections, ImageInfo

GREY = 114
STRIDE = 32


class Placement(NamedTuple):
    """Where an image lies in the network's input: x * scale_x + left, y * scale_y + top."""

    scale_x: float
    scale_y: float
    left: float
    top: float


def resize_longest(image: np.ndarray, image_size: int, *, smooth: bool) -> np.ndarray:
    """Scale an image, up or down, so that its longest side is `image_size` pixels.

    Args:
        image: (H, W, 3) uint8.
        image_size: in pixels.
        smooth: average over areas when shrinking, as in evaluation; bilinear otherwise.

    Returns:
        (h, w, 3) uint8; the same array where it has that size already.
    """
    longest = max(image.shape[:2])
    if longest == image_size:
        return image
    height, width = _scaled(image.shape[:2], image_size)
    shrinks = image_size < longest
    interpolation = cv2.INTER_AREA if smooth and shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=interpolation)


def _scaled(size: tuple[int, int], image_size: int) -> tuple[int, int]:
    """Return the (height, width) of an image whose longest side becomes `image_size` pixels."""
    ratio = image_size / max(size)
    height, width = (max(int(side * ratio), 1) for side in size)
    return height, width


def pad_centred(image: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, int, int]:
    """Pad an image with grey to (height, width).

    Returns:
        The padded image, and the pixels added on the left and on top.

    Raises:
        ValueError: the image is larger than the shape.
    """
    extra_y, extra_x = shape[0] - image.shape[0], shape[1] - image.shape[1]
    if extra_x < 0 or extra_y < 0:
        raise ValueError(f"an image of {image.shape[:2]} does not fit into {shape}")
    left, top = round(extra_x / 2 - 0.1), round(extra_y / 2 - 0.1)
    padded = cv2.copyMakeBorder(
        image, top, extra_y - top, left, extra_x - left, cv2.BORDER_CONSTANT, value=(GREY,) * 3
    )
    return padded, left, top


def evaluation_letterbox(
    image: np.ndarray, shape: tuple[int, int], image_size: int
) -> tuple[np.ndarray, Placement]:
    """Scale the longest side to `image_size`, then pad to the batch's shape.

    Args:
        image: (H, W, 3) uint8.
        shape: (height, width) from `evaluation_shape` or `prediction_shape`.
        image_size: in pixels.
    """
    resized = resize_longest(image, image_size, smooth=True)
    padded, left, top = pad_centred(resized, shape)
    scale_x, scale_y = resized.shape[1] / image.shape[1], resized.shape[0] / image.shape[0]
    return padded, Placement(scale_x, scale_y, left, top)


def evaluation_shape(sizes: Sequence[Sequence[int]], image_size: int) -> tuple[int, int]:
    """Return the input shape of a batch of images of similar aspect ratio.

    The longest side is `image_size`; half of 32 is added to both and the sums rounded up to
    multiples of 32.

    Args:
        sizes: (height, width) of each image in pixels.
        image_size: longest side of the scaled images.

    Returns:
        (height, width) in pixels.
    """
    ratios = [height / width for height, width in sizes]
    relative = (1.0, 1.0)
    if max(ratios) < 1:
        relative = (max(ratios), 1.0)
    elif min(ratios) > 1:
        relative = (1.0, 1 / min(ratios))
    height, width = (math.ceil(r * image_size / STRIDE + 0.5) * STRIDE for r in relative)
    return height, width


def prediction_shape(size: tuple[int, int], image_size: int) -> tuple[int, int]:
    """Return the smallest input shape that holds an image scaled to `image_size`.

    Evaluation adds half a stride to both sides (`evaluation_shape`). No side is shorter than two
    strides: an exported file that takes any shape may take no less.

    Args:
        size: (height, width) of the image in pixels.
        image_size: longest side of the scaled image.

    Returns:
        (height, width) in pixels, multiples of 32.
    """
    scaled = _scaled(size, image_size)
    height, width = (max(math.ceil(side / STRIDE), 2) * STRIDE for side in scaled)
    return height, width


def fitted_size(size: tuple[int, int], shape: tuple[int, int]) -> int:
    """Return the longest side to which an image can be scaled to fit into a shape.

    Args:
        size: (height, width) of the image in pixels.
        shape: (height, width) of the input.
    """
    longest = max(size)
    return min(space * longest // side for space, side in zip(shape, size, strict=True))


def place_boxes(boxes: np.ndarray, placement: Placement | ImageInfo) -> np.ndarray:
    """Map boxes (K, 4) xyxy from the image's pixels to the input's."""
    scale = np.array([placement.scale_x, placement.scale_y] * 2, dtype=np.float32)
    offset = np.array([placement.left, placement.top] * 2, dtype=np.float32)
    return boxes * scale + offset


def place_points(points: np.ndarray, placement: Placement | ImageInfo) -> np.ndarray:
    """Map points (P, 2) xy from the image's pixels to the input's."""
    scale = np.array([placement.scale_x, placement.scale_y], dtype=np.float32)
    return points * scale + np.array([placement.left, placement.top], dtype=np.float32)


def restore(detections: Detections, info: ImageInfo) -> Detections:
    """Map boxes and keypoints from the input's pixels to the image's, clipped to it."""
    boxes, keypoints = restore_boxes(detections.boxes, info), detections.keypoints
    if keypoints is not None:
        keypoints = torch.cat((_restored(keypoints[..., :2], info), keypoints[..., 2:]), dim=-1)
    return detections._replace(boxes=boxes, keypoints=keypoints)


def restore_boxes(boxes: Tensor, info: ImageInfo) -> Tensor:
    """Map boxes (N, 4) xyxy from the input's pixels to the image's, clipped to it."""
    return _restored(boxes.unflatten(-1, (2, 2)), info).flatten(-2)


def _restored(points: Tensor, info: ImageInfo) -> Tensor:
    """Map points (..., 2) xy."""
    offset = points.new_tensor([info.left, info.top])
    scale = points.new_tensor([info.scale_x, info.scale_y])
    limit = points.new_tensor([info.width, info.height])
    return ((points - offset) / scale).clamp(min=0).minimum(limit)
