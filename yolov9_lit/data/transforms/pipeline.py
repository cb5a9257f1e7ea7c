"""Runs the augmentations in order and gives those that mix images their partners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from yolov9_lit.data.letterbox import pad_centred, resize_longest
from yolov9_lit.data.sample import Sample, moved
from yolov9_lit.data.transforms.one_warp import fused


class Transform(Protocol):
    """Changes a sample. A transform with a true attribute `closes` rests in the last epochs."""

    def __call__(
        self, sample: Sample, rng: np.random.Generator, another: Callable[[], Sample]
    ) -> Sample:
        """Apply.

        Args:
            sample: to change; its arrays must be left as they are.
            rng: all randomness comes from here.
            another: gives a random other training sample that has passed the same transforms.
        """
        ...


class Augmentation:
    """A list of transforms on images scaled to the training size."""

    def __init__(self, transforms: Sequence[Transform] = ()) -> None:
        """Set the order."""
        self.transforms = tuple(transforms)

    def __call__(
        self,
        draw: Callable[[int], Sample],
        index: int,
        partners: Sequence[int],
        *,
        image_size: int,
        rng: np.random.Generator,
        closing: bool = False,
    ) -> Sample:
        """Make one training sample.

        Args:
            draw: gives the raw sample of an index, its longest side `image_size`.
            index: of the sample.
            partners: indices that the samples mixed in are drawn from, uniformly.
            image_size: side of the square result in pixels.
            rng: all randomness comes from here.
            closing: leave out the transforms that close.
        """
        active = fused(
            [t for t in self.transforms if not (closing and getattr(t, "closes", False))]
        )

        def run(index: int, upto: int) -> Sample:
            sample = draw(index)
            for stage, transform in enumerate(active[:upto]):

                def another(stage: int = stage) -> Sample:
                    return run(partners[int(rng.integers(len(partners)))], stage)

                sample = transform(sample, rng, another)
            return sample

        return letterboxed(run(index, len(active)), image_size)


def letterboxed(sample: Sample, image_size: int) -> Sample:
    """The sample scaled and padded to a square, where it is not one of that size already."""
    if sample.image.shape[:2] == (image_size, image_size):
        return sample
    scaled = resize_sample(sample, image_size)
    image, left, top = pad_centred(scaled.image, (image_size, image_size))
    return moved(scaled, image, left, top)


def resize_sample(sample: Sample, image_size: int) -> Sample:
    """The sample with its longest side scaled to `image_size`."""
    height, width = sample.image.shape[:2]
    image = resize_longest(sample.image, image_size, smooth=False)
    return scaled_objects(replace(sample, image=image), height, width)


def scaled_objects(sample: Sample, height: int, width: int) -> Sample:
    """The sample with its objects scaled to its image from one of (height, width) pixels."""
    h, w = sample.image.shape[:2]
    if (h, w) == (height, width):
        return sample
    scale = np.array([w / width, h / height], dtype=np.float32)
    polygons = sample.polygons.at(sample.polygons.points * scale)
    boxes = (sample.boxes.reshape(-1, 2, 2) * scale).reshape(-1, 4)
    return sample.with_objects(boxes, sample.labels, polygons)
