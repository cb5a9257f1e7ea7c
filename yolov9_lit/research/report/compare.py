"""Differences to the base row, by a bootstrap over the test images and the spread of the seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yolov9_lit.research.report.matches import Floats
from yolov9_lit.research.report.metrics import COMPARED
from yolov9_lit.research.report.rows import Row, base_of
from yolov9_lit.research.report.runs import Run
from yolov9_lit.research.report.settings import Settings
from yolov9_lit.research.report.statistics import (
    Difference,
    paired_difference,
    unpaired_difference,
)
from yolov9_lit.research.report.tested import Tested, Tests

THE_SAME = "the same images, objects or sigmas"
"""What figures have to be of, to be compared or averaged."""


class Comparison(NamedTuple):
    """A row beside its base.

    Attributes:
        base: what it is compared with.
        difference: in the figure, percent.
        note: why there is no interval; empty where there is one.
    """

    base: Row
    difference: Difference
    note: str


Comparisons = Mapping[str, Comparison]
"""By the row's label; rows without results or without a base are absent."""

ByFigure = Mapping[str, Comparisons]
"""By each of `COMPARED` that there is."""


def row_pairs(rows: Sequence[Row], base: Settings) -> list[tuple[Row, Row]]:
    """Return each row that has results and a base (see `base_of`), with that."""
    return [(row, other) for row in rows if row.runs and (other := base_of(row, rows, base))]


def compare(
    pairs: Sequence[tuple[Row, Row]], tests: Tests, figure: str = COMPARED[0]
) -> Comparisons:
    """Compare each row with its base, where all runs of both have the figure.

    Args:
        pairs: of `row_pairs`.
        tests: of all their runs that have the figure, resampled.
        figure: one of `COMPARED`.
    """
    return {
        row.label: _compare(row, base, tests, figure)
        for row, base in pairs
        if all(figure in run.figures for run in (*row.runs, *base.runs))
    }


def mixed(rows: Iterable[Row], tests: Tests) -> list[str]:
    """Return the labels of rows whose seeds were not all tested on the same.

    Args:
        rows: with or without results.
        tests: of all their runs that have a figure.
    """

    def truths(row: Row) -> set[str]:
        given = (tests.get(run.folder) for run in row.runs)
        return {test.truth for test in given if isinstance(test, Tested)}

    return [row.label for row in rows if len(truths(row)) > 1]


def _compare(row: Row, base: Row, tests: Tests, figure: str) -> Comparison:
    """Compare seed by seed where that loses no run of the smaller side, else the means.

    One run beside several of the base is compared with all of them: their spread is all that is
    known of the seeds.
    """
    ours, theirs = _shared(row, base)
    smaller, larger = sorted((len(row.runs), len(base.runs)))
    paired = len(ours) == smaller and (smaller > 1 or larger == 1)
    if not paired:
        ours, theirs = list(row.runs), list(base.runs)
    aps = _resampled([*ours, *theirs], tests)
    note, known = (aps, None) if isinstance(aps, str) else ("", aps)
    own, other = ([100 * run.figures[figure] for run in side] for side in (ours, theirs))
    split = None if known is None else (known[: len(ours)], known[len(ours) :])
    if paired:
        by_seed = [a - b for a, b in zip(own, other, strict=True)]
        resampled = None if split is None else [a - b for a, b in zip(*split, strict=True)]
        return Comparison(base, paired_difference(by_seed, resampled), note)
    means = None if split is None else np.mean(split[0], axis=0) - np.mean(split[1], axis=0)
    return Comparison(base, unpaired_difference(own, other, means), note)


def _shared(row: Row, base: Row) -> tuple[list[Run], list[Run]]:
    """Return the runs of the seeds that both have, in the same order."""
    theirs = {run.seed: run for run in base.runs}
    ours = [run for run in row.runs if run.seed in theirs]
    return ours, [theirs[run.seed] for run in ours]


def _resampled(runs: Sequence[Run], tests: Tests) -> list[Floats] | str:
    """Return each run's figure on the same resamples, or what is in the way."""
    found: dict[Path, Tested] = {}
    problems = []
    for run in runs:
        test = tests[run.folder]
        if isinstance(test, str):
            problems.append(test)
        else:
            found[run.folder] = test
    if len({test.truth for test in found.values()}) > 1:
        problems.append(f"not tested on {THE_SAME}")
    return "; ".join(dict.fromkeys(problems)) or [found[run.folder].ap for run in runs]
