"""Training on images of several sizes: each batch is of one, drawn anew (YOLO9000, section 2).

Batches are resized on the device, where it costs next to nothing. Loaders, caches and augmentation
are those of one size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.inference.images import unit_range
from yolov9_lit.kinds import Count, Limits, Words
from yolov9_lit.structures import MASK_STRIDE, Batch, Targets

STEP = 32
"""Pixels of which a side is a multiple: the coarsest level's stride."""

Factors = Annotated[
    tuple[Annotated[float, Limits(0, 1, above=True)], Annotated[float, Limits(1, 8)]],
    Words("the smallest and the largest size as factors of data.image_size, such as [0.5,1.5]"),
]


@dataclass(frozen=True)
class MultiScale:
    """Sizes between two factors of the batches' own, all multiples of 32 equally likely.

    The size depends on seed, epoch and batch alone: it is the same on all ranks, with any number of
    workers, and in a training that is continued.

    Attributes:
        factors: of a batch's own side: of the smallest one, 1 at most, and of the largest, 1 at
            least.
        seed: of the drawing.
    """

    factors: Factors
    seed: Count

    def sides(self, side: int) -> range:
        """Return the sides, rising, of batches whose own side is a multiple of 32."""
        low, high = self.factors
        first, last = math.ceil(low * side / STEP), math.floor(high * side / STEP)
        return range(first * STEP, last * STEP + 1, STEP)

    def resized(self, batch: Batch, epoch: int, index: int) -> Batch:
        """Return a batch of square images in the size that holds for it.

        Args:
            batch: as the loader gives it.
            epoch: index of the epoch.
            index: of the batch within it.
        """
        own = batch.images.shape[-1]
        sides = self.sides(own)
        side = sides[np.random.default_rng((self.seed, epoch, index)).integers(len(sides))]
        return batch if side == own else resized(batch, side)


def resized(batch: Batch, side: int) -> Batch:
    """Return a batch of square images in another size, its targets with it; `infos` stay.

    Args:
        batch: its images may be uint8 0..255 or float 0..1; those returned are float.
        side: of the images returned, a multiple of `MASK_STRIDE`.
    """
    factor = side / batch.images.shape[-1]
    images = F.interpolate(
        unit_range(batch.images), (side, side), mode="bilinear", align_corners=False
    )
    return batch._replace(images=images, targets=_scaled(batch.targets, factor, side))


def _scaled(targets: Targets, factor: float, side: int) -> Targets:
    """Return targets of images that are enlarged by a factor to a side."""
    masks, keypoints = targets.masks, targets.keypoints
    if masks is not None:
        masks = _nearest(masks, side // MASK_STRIDE)
    if keypoints is not None:
        keypoints = keypoints * keypoints.new_tensor([factor, factor, 1])
    return targets._replace(boxes=targets.boxes * factor, masks=masks, keypoints=keypoints)


def _nearest(masks: Tensor, side: int) -> Tensor:
    """Return maps of objects (B, h, w) as (B, side, side), each pixel of one object or none."""
    # As float32, which holds all of int16: integers are not interpolated on every device.
    wide = F.interpolate(masks.unsqueeze(1).float(), (side, side), mode="nearest-exact")
    return wide.squeeze(1).to(masks.dtype)
