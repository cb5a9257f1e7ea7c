"""Mixup (arXiv 1710.09412) of two augmented samples."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from yolov9_lit.data.sample import Another, Sample
from yolov9_lit.kinds import PositiveFloat, Share


class MixUp:
    """Blends the sample with another of the same stage and keeps the objects of both."""

    closes = True

    def __init__(self, p: Share = 0.15, alpha: PositiveFloat = 32.0) -> None:
        """Set the probability and the blend.

        Args:
            p: probability, 0..1.
            alpha: the blend's share is drawn from Beta(alpha, alpha).
        """
        self.p = p
        self.alpha = alpha

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Blend two images; smaller ones are centred on grey."""
        if rng.random() >= self.p:
            return sample
        other = another()
        shape = tuple(map(max, sample.image.shape[:2], other.image.shape[:2]))
        sample, other = sample.padded(shape), other.padded(shape)
        share = rng.beta(self.alpha, self.alpha)
        image = cv2.addWeighted(sample.image, share, other.image, 1 - share, 0)
        return replace(sample, image=image).with_objects_of([other])
