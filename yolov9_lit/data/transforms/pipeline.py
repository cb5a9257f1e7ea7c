"""Runs the augmentations in order and gives those that mix images their partners."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from yolov9_lit.data.sample import Sample, Transform
from yolov9_lit.data.transforms.one_warp import fused


class Augmentation:
    """A list of transforms on images scaled to the training size."""

    def __init__(self, transforms: Sequence[Transform] = ()) -> None:
        """Choose the steps, once, with and without the transforms that close."""
        self.transforms = tuple(transforms)
        self._steps = fused(transforms)
        self._closing = fused([t for t in transforms if not getattr(t, "closes", False)])

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
        steps = self._closing if closing else self._steps

        def run(index: int, upto: int) -> Sample:
            sample = draw(index)
            for stage, step in enumerate(steps[:upto]):

                def another(stage: int = stage) -> Sample:
                    return run(partners[int(rng.integers(len(partners)))], stage)

                sample = step(sample, rng, another)
            return sample

        return run(index, len(steps)).letterboxed(image_size)
