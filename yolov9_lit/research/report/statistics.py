"""What few seeds and few images allow to say: means, differences and their 95 % intervals.

The interval of a difference has two sources of noise. Which images are in the test set: every
resample of the images gives each seed's difference anew, their mean over the seeds spreads with
variance V_images (paired: both configurations see the same resample). Which seeds were trained:
the n differences spread with variance s^2, their mean with V_seeds = s^2 / n. Each part keeps the
quantile that belongs to it, and the parts add in squares (Howe 1974): the interval is
mean +- sqrt(z^2 V_images + t^2 V_seeds), z of the normal and t of Student with n - 1.

Drawing seeds in the bootstrap instead (a hierarchical one) takes a few seeds for all there are. In
simulations of equal configurations, 40 images, with seeds as the larger noise, its 95 % interval
held zero in 65 % (2 seeds) and 76 % (3 seeds) of 400 trials; Welch and Satterthwaite's degrees of
freedom in 88 % and 93 %; this one, 300 trials, in 94 % and 95 %, and in more where images are the
larger noise. A single seed shows no V_seeds: its interval holds for these trained weights, not for
the configuration.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from yolov9_lit.research.report.matches import Floats, Ints

LEVEL = 0.95


class Pooled(NamedTuple):
    """Several seeds of one configuration.

    Attributes:
        n: number of seeds.
        mean: of them; NaN without any.
        sd: standard deviation (n - 1); NaN for fewer than two.
        low: end of the 95 % interval of the mean (Student's t, seeds as the only noise); or NaN.
        high: its other end.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


class Difference(NamedTuple):
    """A configuration minus its base, seed by seed.

    Attributes:
        n: number of seeds that both have.
        mean: of the differences.
        low: end of the 95 % interval over images and seeds; NaN where no resamples are known.
        high: its other end.
    """

    n: int
    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def pool(values: Sequence[float]) -> Pooled:
    """Return mean, standard deviation and interval of the seeds' figures."""
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return Pooled(n, mean, math.nan, math.nan, math.nan)
    sd = float(np.std(values, ddof=1))
    half = _quantile(n - 1) * sd / math.sqrt(n)
    return Pooled(n, mean, sd, mean - half, mean + half)


def draw_images(count: int, replicates: int, seed: int) -> Ints:
    """Draw resamples: (replicates, count), how often each image was drawn; rows sum to `count`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=replicates)


def paired_difference(by_seed: Sequence[float], resampled: Sequence[Floats] | None) -> Difference:
    """Pool the differences of the seeds that two configurations share.

    Args:
        by_seed: the difference of each seed, at least one.
        resampled: for each seed (B,), the difference on each resample of the images; None where
            it is not known.
    """
    differences = np.array(by_seed)
    mean = float(differences.mean())
    if resampled is None:
        return Difference(len(differences), mean, math.nan, math.nan)
    images = float(np.nanvar(np.mean(resampled, axis=0), ddof=1))
    half = _half_width(differences, images)
    return Difference(len(differences), mean, mean - half, mean + half)


def _half_width(differences: Floats, images: float) -> float:
    """Return half of the mean difference's interval; `images`: its variance over resamples."""
    n = len(differences)
    square = _quantile(math.inf) ** 2 * images
    if n > 1:
        square += _quantile(n - 1) ** 2 * float(differences.var(ddof=1)) / n
    return math.sqrt(square)


def _quantile(freedom: float) -> float:
    """Return the quantile of Student's t above which (1 - LEVEL) / 2 lies; infinity: normal."""
    return float(stdtrit(freedom, (1 + LEVEL) / 2))
