"""Runs the augmentations in order and gives those that mix images their partners."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from yolov9_lit.data.sample import Sample, Transform
from yolov9_lit.data.transforms.one_warp import fused
from yolov9_lit.errors import UserError


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

                sample = _complete(step(sample, rng, another), sample, step)
            return sample

        return run(index, len(steps)).letterboxed(image_size)


def _complete(after: Sample, before: Sample, step: Transform) -> Sample:
    """Return what a step made, if its objects have all the numbers that those given to it had.

    Raises:
        UserError: they have not; a batch could not be made of such samples.
    """
    for what, given, found, remedy in (
        ("keypoints", before.keypoints.values, after.keypoints.values, "give task=detect"),
        ("extra numbers", before.extra.values, after.extra.values, "leave data.extra out"),
    ):
        objects, number = found.shape[:2]
        if number != given.shape[1] or objects != len(after.boxes):
            raise UserError(
                f"{type(step).__name__} of `augment` loses {what} (of {given.shape[1]} each for "
                f"{len(after.boxes)} objects it gives {number} for {objects}): have it return "
                f"those of the objects that it returns, leave it out, or {remedy}."
            )
    return after
