"""How many seeds a difference needs to be seen: the power of Student's t-test.

Under a true difference the test's statistic has the noncentral t distribution (Cohen, Statistical
Power Analysis for the Behavioral Sciences, 1988, chapter 2), which gives the power exactly.
"""

from __future__ import annotations

import math
from bisect import bisect_left

from scipy.special import nctdtr, stdtrit

from yolov9_lit.research.report.statistics import LEVEL, Spread

SIZES = (0.1, 0.3, 0.5, 1.0)
"""Differences, in percent of AP, of the order that the paper's tables report."""

POWER = 0.8
MOST = 1000
"""More seeds than that are not counted."""

FARTHEST = 30.0
"""Noncentrality at which the power is above 0.97 at any number of seeds: more changes nothing."""


def power(effect: float, seeds: int, *, paired: bool) -> float:
    """Return the chance that a two-sided t-test at 1 - LEVEL finds a difference, with its sign.

    Args:
        effect: the true difference over its standard deviation: of the differences if paired, of
            one run if not.
        seeds: of each of the two configurations, at least 2.
        paired: whether both use the same seeds.
    """
    freedom = seeds - 1 if paired else 2 * (seeds - 1)
    centre = min(abs(effect) * math.sqrt(seeds if paired else seeds / 2), FARTHEST)
    limit = float(stdtrit(freedom, (1 + LEVEL) / 2))
    return float(1 - nctdtr(freedom, centre, limit))


def seeds_needed(size: float, sd: float, *, paired: bool) -> int:
    """Return the smallest number of seeds of each configuration that gives the power `POWER`.

    Args:
        size: the true difference, above 0.
        sd: the spread in the same unit, see `Spread`.
        paired: whether both use the same seeds.

    Returns:
        At least 2; `MOST` + 1 where `MOST` is not enough.
    """
    effect = size / sd if sd else math.inf
    counts = range(2, MOST + 1)
    return counts[0] + bisect_left(counts, POWER, key=lambda n: power(effect, n, paired=paired))


def seeds_range(size: float, spread: Spread) -> tuple[int, int, int]:
    """Return the seeds needed at the measured spread, and at the ends of its 95 % interval.

    Args:
        size: the true difference.
        spread: with at least one degree of freedom.
    """
    ends = (spread.sd, *spread.range)
    likely, low, high = (seeds_needed(size, sd, paired=spread.paired) for sd in ends)
    return likely, low, high
