"""The table of differences: what the runs allow to say, and how many seeds would say more."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.report.compare import Comparison, Comparisons
from yolov9_lit.research.report.metrics import COMPARED, named
from yolov9_lit.research.report.power import MOST, POWER, SIZES, seeds_range
from yolov9_lit.research.report.statistics import Spread

BRIEF = ("configuration", *(f"seeds for {size:.1f}" for size in SIZES))
"""Columns that fit a terminal."""


def difference_table(comparisons: Comparisons, figure: str = COMPARED[0]) -> Table:
    """Make a row of each comparison of a figure; without rows where nothing is compared."""
    cells = [
        {
            "configuration": label,
            "base": comparison.base.label,
            "seeds": _seeds(comparison.difference.spread),
            "difference": difference_cell(comparison),
            "95 %": interval_cell(comparison),
            "sd of seeds": _sd(comparison.difference.spread),
            "± by images": number(1.96 * comparison.difference.images, digits=2),
            **{
                f"seeds for {size:.1f}": _needed(size, comparison.difference.spread)
                for size in SIZES
            },
        }
        for label, comparison in comparisons.items()
    ]
    notes = tuple(_notes(comparisons, named(figure))) if cells else ()
    title = f"What can be said of the differences in {named(figure)}"
    return Table(title, pd.DataFrame(cells), notes).without_empty_columns()


def difference_cell(comparison: Comparison) -> Cell:
    """Show the difference; bold where it is clear, "?" where there is no interval."""
    difference = comparison.difference
    unknown = " ?" if math.isnan(difference.low) else ""
    return Cell(f"{difference.mean:+.2f}{unknown}", difference.mean, difference.is_clear)


def interval_cell(comparison: Comparison) -> Cell:
    """Show the interval of a difference; sorted by its width."""
    low, high = comparison.difference.low, comparison.difference.high
    return Cell("") if math.isnan(low) else Cell(f"{low:+.2f} to {high:+.2f}", high - low)


def _seeds(spread: Spread) -> Cell:
    ours, base = spread.counts
    if spread.paired:
        return Cell(f"{ours} shared" if ours > 1 else "1 each", ours)
    return Cell(f"{ours} and {base}", min(ours, base))


def _sd(spread: Spread) -> Cell:
    if not spread.tells:
        return Cell("not known")
    low, high = spread.range
    return Cell(f"{spread.sd:.2f} ({low:.2f} to {high:.2f})", spread.sd)


def _needed(size: float, spread: Spread) -> Cell:
    """Show the seeds needed, and their range where the spread leaves one."""
    if not spread.tells:
        return Cell("not known")
    likely, low, high = (
        f"> {MOST}" if count > MOST else str(count) for count in seeds_range(size, spread)
    )
    text = likely if low == high else f"{likely} ({low} to {high})"
    return Cell(text, seeds_range(size, spread)[0])


def _claim(label: str, comparison: Comparison, name: str) -> str:
    """Say whether the runs support that a configuration has more of a figure than its base."""
    difference = comparison.difference
    known = f"{_seeds(difference.spread).text} seeds, {interval_cell(comparison).text}"
    verdict = f"cannot tell ({known})"
    if difference.is_clear:
        verdict = f"supported ({known})"
        if difference.mean < 0:
            verdict = f"not supported, it has less ({known})"
    return f"{label} has more {name} than {comparison.base.label}: {verdict}."


def _notes(comparisons: Comparisons, name: str) -> Iterable[str]:
    spreads = [comparison.difference.spread for comparison in comparisons.values()]
    for label, comparison in comparisons.items():
        if comparison.difference.spread.tells and not comparison.note:
            yield _claim(label, comparison, name)
    yield (
        f"Difference in percent of {name}, less the base's, with its 95 % interval over test "
        "images (bootstrap, the same resamples for both) and seeds. Bold: the interval excludes "
        "zero; one in twenty does so by chance."
    )
    if any(spread.tells for spread in spreads):
        yield (
            "Seeds for 0.1 and so on: how many of each configuration show a true difference of "
            f"that size in {100 * POWER:.0f} % of experiments (two-sided t-test at 5 %, paired "
            "where the seeds are shared) at the measured sd of seeds; in brackets at the ends of "
            "its 95 % interval. More seeds make no smaller what the choice of test images does "
            "(± by images)."
        )
    if any(spread.paired and spread.tells for spread in spreads):
        yield "Shared seeds: compared seed by seed; sd of seeds is that of the differences."
    if any(not spread.paired and spread.tells for spread in spreads):
        yield (
            "Seeds that are not shared: the means are compared; sd of seeds is that of one run, "
            "pooled over both."
        )
    single = [label for label, c in comparisons.items() if not c.difference.spread.freedom]
    if single:
        yield (
            f"One seed each ({'; '.join(single)}): nothing can be said of whether the "
            "configurations differ, nor of how many seeds would tell. An interval is of the test "
            "images only, and holds for these trained weights: another seed may tell otherwise."
        )
    equal = [
        label
        for label, c in comparisons.items()
        if c.difference.spread.freedom and not c.difference.spread.tells
    ]
    if equal:
        yield (
            f"All seeds gave the same ({'; '.join(equal)}): that shows no spread, so nothing can "
            "be said of the difference, nor of the seeds needed. Where it is 0, train longer."
        )
    for label, comparison in comparisons.items():
        if comparison.note:
            yield f"? {label}: {comparison.note}."
