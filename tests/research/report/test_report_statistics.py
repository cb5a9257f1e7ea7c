"""Intervals: the textbook's for a mean, and coverage where the true difference is zero."""

import math

import numpy as np
import pytest
from scipy import stats

from yolov9_lit.research.report.matches import ClassMatches, Matches
from yolov9_lit.research.report.statistics import (
    draw_images,
    paired_difference,
    pool,
    unpaired_difference,
)

IMAGES = 40


def detector(rng, images, skill):
    """A detector's matches on images with objects of given difficulty (I, G), one class.

    What it finds depends on the object and, a little, on luck: two detectors agree in most.
    """
    confidence = skill - images + rng.normal(0, 0.4, images.shape)
    thresholds = np.linspace(0, 1, 10)[:, None, None]
    right = confidence > thresholds
    order = np.argsort(-confidence, axis=None)
    return Matches(
        len(images),
        (
            ClassMatches(
                images=np.repeat(np.arange(len(images)), images.shape[1])[order],
                positives=np.full(len(images), images.shape[1]),
                hits=tuple(np.flatnonzero(row) for row in right.reshape(10, -1)[:, order]),
                ignored=(np.zeros(0, dtype=int),) * 10,
            ),
        ),
        "",
    )


def experiment(number, seeds, seed_noise, replicates=200):
    """Two equal configurations on a fresh test set; difference by seed, and resampled."""
    rng = np.random.default_rng(number)
    difficulty = rng.normal(0, 1, (IMAGES, 1)) + rng.normal(0, 0.7, (IMAGES, 6))
    weights = draw_images(IMAGES, replicates, number)
    once = np.ones((1, IMAGES), dtype=int)
    by_seed, resampled = [], []
    for _ in range(seeds):
        ours, base = (detector(rng, difficulty, 1 + rng.normal(0, seed_noise)) for _ in "ab")
        by_seed.append(float((ours.average_precision(once) - base.average_precision(once))[0]))
        resampled.append(ours.average_precision(weights) - base.average_precision(weights))
    return by_seed, resampled


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_noise"), [(1, 0.0), (3, 0.0), (3, 0.3)], ids=str)
def test_the_interval_covers_when_nothing_differs(seeds, seed_noise):
    trials = 60
    found = [paired_difference(*experiment(n, seeds, seed_noise, 100)) for n in range(trials)]
    covered = sum(d.low <= 0 <= d.high for d in found) / trials
    assert covered >= 0.87  # 95 % less three standard deviations of this small simulation
    assert sum(d.is_clear for d in found) == (seeds > 1) * (trials - round(covered * trials))


def test_a_real_gain_is_told_from_noise():
    by_seed, resampled = experiment(0, 3, 0.0)
    gain = paired_difference([d + 0.2 for d in by_seed], [d + 0.2 for d in resampled])
    assert gain.is_clear
    assert gain.low < 0.2 < gain.high


def test_a_run_less_itself_is_exactly_nothing():
    same = detector(np.random.default_rng(0), np.zeros((5, 4)), 1.0)
    ap = same.average_precision(draw_images(5, 50, 0))
    nothing = paired_difference([0.0, 0.0], [ap - ap, ap - ap])
    assert (nothing.mean, nothing.images) == (0, 0)
    assert np.isnan([nothing.low, nothing.high]).all(), "an interval without a width tells nothing"


def test_without_images_there_is_no_interval():
    found = paired_difference([1.0, 2.0], None)
    assert (found.spread.counts, found.mean) == ((2, 2), 1.5)
    assert math.isnan(found.low)
    assert not found.is_clear


def test_other_seeds_are_compared_as_two_samples():
    """Without noise of the images the interval is that of scipy's two-sample t-test."""
    ours, base = [1.0, 2.0, 4.0], [0.5, 1.5]
    found = unpaired_difference(ours, base, np.full(50, 0.7))
    expected = stats.ttest_ind(ours, base).confidence_interval()
    assert found[:3] == pytest.approx((7 / 3 - 1, *expected))
    assert (found.spread.counts, found.spread.freedom) == ((3, 2), 3)
    lone = unpaired_difference([2.0], [1.0, 3.0, 5.0], np.full(50, 0.7))
    assert lone.spread.sd == pytest.approx(2.0)  # of the base's seeds, all that is known
    assert lone.high - lone.mean == pytest.approx(4.302653 * 2 * math.sqrt(1 + 1 / 3))
    assert math.isnan(unpaired_difference([1.0], [2.0], None).spread.sd)


def test_equal_figures_show_no_spread():
    same = paired_difference([1.0, 1.0], [np.zeros(9), np.zeros(9)])
    assert not same.spread.tells
    assert not same.is_clear


def test_pooled_seeds():
    # By hand: t(2, 97.5 %) = 4.302653, sd = 1, half-width 4.302653 / sqrt(3).
    pooled = pool([1.0, 2.0, 3.0])
    assert pooled[:3] == (3, 2.0, 1.0)
    assert pooled.high - pooled.mean == pytest.approx(2.4841377)
    assert pooled.mean - pooled.low == pytest.approx(2.4841377)
    assert pool([5.0])[:2] == (1, 5.0)
    assert all(map(math.isnan, pool([5.0])[2:]))
    assert all(map(math.isnan, pool([])[1:]))


def test_the_interval_of_one_seed_is_the_images_alone():
    resampled = np.random.default_rng(0).normal(0.3, 2.0, 20000)
    found = paired_difference([0.3], [resampled])
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2.0, rel=0.02)


def test_draws_keep_the_number_of_images():
    weights = draw_images(87, 500, 3)
    assert weights.shape == (500, 87)
    assert (weights.sum(axis=1) == 87).all()
    np.testing.assert_array_equal(weights, draw_images(87, 500, 3))
