"""How much of a feature map's heat lies on the objects, and how sure one can be of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.data.letterbox import (
    evaluation_letterbox,
    place_boxes,
    prediction_shape,
)
from yolov9_lit.inference.images import unit_range
from yolov9_lit.inference.levels import read_levels
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.research.figures.feature_maps import Map, channels_as_one
from yolov9_lit.research.figures.inputs import Subject
from yolov9_lit.structures import ImageInfo


class Heats(NamedTuple):
    """What the maps that the main head reads show of one image.

    Attributes:
        maps: (h, w) float64 each, >= 0 and 0 at its smallest place in the image; all 1 where a map
            is the same everywhere.
        info: how the image was put into the network's input.
        shape: (height, width) of the input in pixels.
    """

    maps: tuple[np.ndarray, ...]
    info: ImageInfo
    shape: tuple[int, int]


class Share(NamedTuple):
    """Of one map of one image.

    Attributes:
        heat: share of the heat inside the boxes, 0..1.
        area: share of the image inside the boxes: what a map that knows nothing would have.
    """

    heat: float
    area: float


@torch.no_grad()
def heats_of(predictor: Predictor, image: np.ndarray, kind: Map) -> Heats:
    """Return the heat of the maps that the main head reads of an image.

    Args:
        predictor: on the CPU.
        image: (H, W, 3) uint8 RGB.
        kind: mean of the channels' absolute values, or their first principal component.
    """
    height, width = image.shape[:2]
    size = predictor.input_size(None)
    shape = prediction_shape((height, width), size)
    boxed, placement = evaluation_letterbox(image, shape, size)
    pixels = unit_range(torch.from_numpy(boxed).permute(2, 0, 1)[None].contiguous())
    levels = read_levels(predictor.detector.without_auxiliary(), pixels)
    info = ImageInfo(0, "", height, width, *placement)
    maps = tuple(_heat(one[0], _image_cover(info, shape, one), kind) for one in levels.maps)
    return Heats(maps, info, shape)


def shares_of(heats: Heats, subject: Subject) -> list[Share]:
    """Return for each map how much of its heat lies inside the boxes of its image.

    A cell counts by the share of its pixels that are inside; padding counts for nothing.
    """
    boxes = place_boxes(subject.boxes, heats.info)
    found = []
    for one in heats.maps:
        image = _cover(_image_box(heats.info), heats.shape, one.shape)
        inside = np.minimum(_cover(boxes, heats.shape, one.shape), image)
        heat = float((one * inside).sum() / (one * image).sum())
        found.append(Share(heat, float(inside.sum() / image.sum())))
    return found


def resampled_means(values: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """Return means over resamples of the images, the same resamples for every column.

    Args:
        values: (N, K), a row for each image.
        replicates: R.
        seed: of the resamples.

    Returns:
        (R, K).
    """
    drawn = np.random.default_rng(seed).integers(len(values), size=(replicates, len(values)))
    return values[drawn].mean(axis=1)


def _heat(maps: Tensor, image: np.ndarray, kind: Map) -> np.ndarray:
    values = channels_as_one(maps.abs() if kind == "mean" else maps, kind)
    raised = np.maximum(values - values[image > 0].min(), 0)
    spread = raised[image > 0].max()
    return raised if spread > 1e-9 * np.abs(values).max() else np.ones_like(values)


def _image_cover(info: ImageInfo, shape: tuple[int, int], maps: Tensor) -> np.ndarray:
    return _cover(_image_box(info), shape, (maps.shape[2], maps.shape[3]))


def _image_box(info: ImageInfo) -> np.ndarray:
    """Return the image itself as a box (1, 4) in the input's pixels."""
    whole = np.array([[0, 0, info.width, info.height]], np.float32)
    return place_boxes(whole, info)


def _cover(boxes: np.ndarray, shape: tuple[int, int], cells: tuple[int, ...]) -> np.ndarray:
    """Return the share of each cell's pixels whose centre is in a box: (h, w) float64, 0..1."""
    mask = np.zeros(shape)
    for left, top, right, bottom in np.round(boxes).astype(int).tolist():
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 1
    pooled = F.adaptive_avg_pool2d(torch.from_numpy(mask)[None], (cells[0], cells[1]))
    return pooled[0].numpy()
