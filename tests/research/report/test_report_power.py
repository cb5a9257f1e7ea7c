"""Seeds needed against published tables and a simulation of the test itself."""

import numpy as np
import pytest
from scipy import stats

from yolov9_lit.research.report.power import MOST, power, seeds_needed, seeds_range
from yolov9_lit.research.report.statistics import Spread


@pytest.mark.parametrize(
    ("effect", "paired", "seeds"),
    [  # Cohen 1988, table 2.4.1 (two samples), and G*Power 3.1 (matched pairs)
        (0.2, False, 394),
        (0.5, False, 64),
        (0.8, False, 26),
        (0.2, True, 199),
        (0.5, True, 34),
        (0.8, True, 15),
    ],
)
def test_published_sizes(effect, paired, seeds):
    assert seeds_needed(effect, 1.0, paired=paired) == seeds
    assert seeds_needed(10 * effect, 10.0, paired=paired) == seeds


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("effect", "seeds"), [(1.5, 3), (0.9, 8), (4.0, 2)])
def test_the_power_is_how_often_the_test_finds_it(effect, seeds, paired):
    rng, trials = np.random.default_rng(0), 20_000
    base = rng.normal(0, 1, (trials, seeds))
    ours = rng.normal(effect, 1, (trials, seeds))
    found = stats.ttest_1samp(ours, 0, axis=1) if paired else stats.ttest_ind(ours, base, axis=1)
    seen = (found.pvalue < 0.05) & (found.statistic > 0)
    assert power(effect, seeds, paired=paired) == pytest.approx(seen.mean(), abs=0.012)


def test_the_ends_of_what_can_be_asked():
    assert seeds_needed(0.1, 0.0, paired=True) == 2
    assert seeds_needed(0.1, 1e-9, paired=False) == 2
    assert seeds_needed(0.1, 1e9, paired=True) == MOST + 1
    assert all(0.97 < power(1e6, n, paired=True) <= 1 for n in (2, 3, 10, MOST))


def test_an_uncertain_spread_gives_a_range():
    """By hand: chi-square with 2 degrees of freedom has its 2.5 % at 0.0506, 97.5 % at 7.378."""
    spread = Spread((3, 3), True, 0.4)
    ends = (0.4 * (2 / 7.3778) ** 0.5, 0.4 * (2 / 0.050636) ** 0.5)
    assert spread.range == pytest.approx(ends, rel=1e-4)
    likely, low, high = seeds_range(0.3, spread)
    assert (likely, low) == tuple(seeds_needed(0.3, sd, paired=True) for sd in (0.4, 0.20826))
    assert low < likely < high
