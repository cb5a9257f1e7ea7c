"""The report's numbers as a data frame, and its tables before they have a format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.report.compare import Comparison
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.runs import FIGURES, Run

Comparisons = Mapping[str, Comparison]

BRIEF = ("configuration", "seeds", "AP", "difference", "GFLOPs", "paper's AP")
"""Columns that fit a terminal."""


def result_frame(rows: Sequence[Row], comparisons: Comparisons) -> pd.DataFrame:
    """Return one row for each configuration that has results, in full precision.

    AP in percent, parameters as counted; a column for each number.
    """
    return pd.DataFrame([_record(row, comparisons) for row in rows if row.runs])


def _record(row: Row, comparisons: Comparisons) -> dict[str, Any]:
    record: dict[str, Any] = {**row.settings, "seeds": len(row.runs)}
    for figure in FIGURES:
        pooled = row.pooled(figure)
        record |= {figure: pooled.mean, f"{figure}_sd": pooled.sd}
        record |= {f"{figure}_low": pooled.low, f"{figure}_high": pooled.high}
    comparison = comparisons.get(row.label)
    difference = comparison.difference if comparison else None
    record |= {
        "base": comparison.base.label if comparison else None,
        "difference": difference.mean if difference else None,
        "difference_low": difference.low if difference else None,
        "difference_high": difference.high if difference else None,
        "difference_seeds": difference.n if difference else None,
        "train_params": row.cost("train_params"),
        "params": row.cost("params"),
        "gflops": row.cost("gflops"),
        "seconds_per_epoch": row.seconds_per_epoch,
        "peak_memory_mb": row.peak_memory_mb,
        **{f"paper_{name}": value for name, value in row.paper.items()},
    }
    if row.paper:
        record["paper_comparable"] = not row.why_not_comparable
    return record


def result_table(frame: pd.DataFrame, rows: Sequence[Row], comparisons: Comparisons) -> Table:
    """Make the report's main table of `result_frame`; columns that show nothing are left out."""
    shown = [row for row in rows if row.runs]

    def numbers(name: str) -> pd.Series[float]:
        return frame.get(name, pd.Series(math.nan, frame.index)).astype(float)

    columns = {
        "configuration": [row.label for row in shown],
        "seeds": frame.get("seeds"),
        "AP": numbers("AP"),
        "sd": numbers("AP_sd"),
        "95 %": map(_interval, numbers("AP_low"), numbers("AP_high")),
        "difference": [_difference(row, comparisons) for row in shown],
        **{name: numbers(name) for name in FIGURES[1:]},
        "params (M)": numbers("params") / 1e6,
        "GFLOPs": numbers("gflops"),
        "s/epoch": numbers("seconds_per_epoch"),
        "memory (MB)": [number(value, digits=0) for value in numbers("peak_memory_mb")],
        "paper's AP": map(_papers_ap, numbers("paper_ap"), shown),
        "paper's params (M)": numbers("paper_params"),
        "paper's GFLOPs": numbers("paper_gflops"),
        "paper's min/epoch": [
            number(value, digits=0) for value in numbers("paper_minutes_per_epoch")
        ],
    }
    notes = tuple(_notes(shown, comparisons))
    return Table("AP by configuration", pd.DataFrame(columns), notes).without_empty_columns()


def figure_table(rows: Sequence[Row]) -> Table:
    """Make a table of every figure of every configuration with its spread over the seeds."""
    cells = [
        (row.label, name, pooled.n, *(number(value, digits=2) for value in pooled[1:]))
        for row in rows
        for name in FIGURES
        if (pooled := row.pooled(name)).n
    ]
    columns = ("configuration", "figure", "seeds", "mean", "sd", "95 % from", "to")
    return Table("Every figure, in percent", pd.DataFrame(cells, columns=columns))


def left_table(left: Sequence[Run], rows: Sequence[Row], directory: Path) -> Table:
    """Make a table of the runs that do not count, and why."""
    labels = {run.folder: row.label for row in rows for run in row.unfinished}
    cells = [
        (
            str(run.folder.relative_to(directory)),
            labels.get(run.folder, ""),
            str(run.seed),
            run.status,
            run.problem,
        )
        for run in left
    ]
    columns = ("folder", "configuration", "seed", "status", "why")
    return Table("Runs that do not count", pd.DataFrame(cells, columns=columns))


def _interval(low: float, high: float) -> Cell:
    """Show the ends of a 95 % interval; sorted by its width."""
    return Cell("") if math.isnan(low) else Cell(f"{low:.1f} to {high:.1f}", high - low)


def _difference(row: Row, comparisons: Comparisons) -> Cell:
    comparison = comparisons.get(row.label)
    if comparison is None:
        is_base = any(other.base is row for other in comparisons.values())
        return Cell("base", 0.0) if is_base else Cell("")
    difference = comparison.difference
    if difference is None:
        return Cell("?")
    if math.isnan(difference.low):
        return Cell(f"{difference.mean:+.2f} ?", difference.mean)
    ends = f"({difference.low:+.2f} to {difference.high:+.2f})"
    return Cell(f"{difference.mean:+.2f} {ends}", difference.mean, difference.is_clear)


def _papers_ap(value: float, row: Row) -> Cell:
    cell = number(value, digits=1)
    return cell._replace(text=f"{cell.text} †") if cell.text and row.why_not_comparable else cell


def _notes(rows: Sequence[Row], comparisons: Comparisons) -> Iterable[str]:
    if any(len(row.runs) > 1 for row in rows):
        yield "AP in percent: mean over the seeds, standard deviation, Student's 95 % interval."
    if comparisons:
        bases = dict.fromkeys(comparison.base.label for comparison in comparisons.values())
        yield (
            f"Difference: AP less that of {'; '.join(bases)}, seed by seed, with its 95 % interval "
            "over test images (paired bootstrap) and seeds. Bold: the interval excludes zero; one "
            "in twenty does so by chance."
        )
    if any(c.difference and c.difference.n == 1 and not c.note for c in comparisons.values()):
        yield "With one seed the interval is of the images only: another seed may tell otherwise."
    reasons = {row.why_not_comparable for row in rows if row.paper.get("ap") is not None} - {""}
    if reasons:
        yield (
            "† Not comparable: the paper's AP is of COCO val2017 after 500 epochs, ours of "
            f"{'; '.join(sorted(reasons))}."
        )
    for label, comparison in comparisons.items():
        if comparison.note:
            yield f"? {label}: {comparison.note}."
    commits = sorted({str(run.record.commit)[:7] for row in rows for run in row.runs})
    if len(commits) > 1:
        yield f"The runs were made with different commits: {', '.join(commits)}."
