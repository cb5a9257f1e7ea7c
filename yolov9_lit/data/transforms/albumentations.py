"""Any albumentations transforms as one step of the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import albumentations as A
import numpy as np

from yolov9_lit.data.sample import Sample


class Albumentations:
    """Applies albumentations transforms to picture and boxes.

    Outlines are kept where the transforms only change colours. After a spatial one objects go on
    with their boxes alone, so put those behind `CopyPaste` and `RandomAffine`.
    """

    def __init__(self, transforms: Sequence[A.BasicTransform]) -> None:
        """Compose the transforms, in their order."""
        self.compose = A.Compose(
            list(transforms),
            bbox_params=A.BboxParams(
                format="pascal_voc", label_fields=["labels", "indices"], clip=True, min_area=1.0
            ),
        )
        self.spatial = any(isinstance(t, A.DualTransform) for t in transforms)

    def __call__(
        self, sample: Sample, rng: np.random.Generator, another: Callable[[], Sample]
    ) -> Sample:
        """The transforms may change the size."""
        self.compose.set_random_seed(int(rng.integers(2**31)))
        count = len(sample.boxes)
        result = self.compose(
            image=sample.image, bboxes=sample.boxes, labels=sample.labels, indices=np.arange(count)
        )
        kept = np.asarray(result["indices"], dtype=np.int64)
        return Sample(
            image=np.ascontiguousarray(result["image"]),
            boxes=np.asarray(result["bboxes"], dtype=np.float32).reshape(-1, 4),
            labels=sample.labels[kept],
            polygons=tuple(() if self.spatial else sample.polygons[i] for i in kept),
        )
