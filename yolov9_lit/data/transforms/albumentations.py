"""Any albumentations transforms as one step of the pipeline."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for news
import albumentations as A
import numpy as np

from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.sample import Another, Sample

AnyTransform: TypeAlias = A.BasicTransform | A.BaseCompose
"""What albumentations applies to an image, composed or not."""


class Albumentations:
    """Applies albumentations transforms to image and boxes.

    Colour transforms keep boxes and outlines. A spatial one, nested or not, keeps boxes only, so
    put it after `CopyPaste` and `RandomAffine`.
    """

    def __init__(self, transforms: Sequence[AnyTransform]) -> None:
        """Compose the transforms, in their order."""
        self.spatial = any(is_spatial(t) for t in transforms)
        boxes = A.BboxParams(format="pascal_voc", label_fields=["rows"], clip=True, min_area=1.0)
        self.compose = A.Compose(list(transforms), bbox_params=boxes if self.spatial else None)

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Apply the transforms, which may change the size; skip images 1 pixel high or wide."""
        if min(sample.image.shape[:2]) == 1:
            return sample  # Albumentations would drop an axis of it.
        self.compose.set_random_seed(int(rng.integers(2**31)))
        if not self.spatial:
            image = self.compose(image=sample.image)["image"]
            return replace(sample, image=np.ascontiguousarray(image))
        rows = np.arange(len(sample.boxes))
        result = self.compose(image=sample.image, bboxes=sample.boxes, rows=rows)
        kept = np.asarray(result["rows"], dtype=np.int64)
        return Sample(
            image=np.ascontiguousarray(result["image"]),
            boxes=np.asarray(result["bboxes"], dtype=np.float32).reshape(-1, 4),
            labels=sample.labels[kept],
            polygons=FlatPolygons.pack([()] * len(kept)),
            extra=sample.extra.take(kept),
        )


def is_spatial(transform: AnyTransform) -> bool:
    """Return whether a transform, or one inside it, may move objects."""
    if isinstance(transform, A.BaseCompose):
        return any(is_spatial(inner) for inner in transform.transforms)
    return isinstance(transform, A.DualTransform)
