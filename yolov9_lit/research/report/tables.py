"""The report's tables, before they have a format."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.report.compare import Comparison
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.runs import FIGURES, Run
from yolov9_lit.research.report.statistics import Pooled

Comparisons = Mapping[str, Comparison]


BRIEF = ("configuration", "seeds", "AP", "difference", "GFLOPs", "paper's AP")
"""The columns that fit a terminal."""


def result_table(rows: Sequence[Row], comparisons: Comparisons) -> Table:
    """One row a configuration that has results; columns of which nothing is known are left out."""
    columns: dict[str, Callable[[Row], Cell]] = {
        "configuration": lambda row: Cell(row.label, row.label),
        "seeds": lambda row: Cell(str(len(row.runs)), len(row.runs)),
        "AP": lambda row: number(row.pooled("AP").mean),
        "sd": lambda row: number(row.pooled("AP").sd),
        "95 %": lambda row: interval(row.pooled("AP")),
        "difference": lambda row: _difference(row, comparisons),
        **{name: _figure(name) for name in FIGURES[1:]},
        "params (M)": lambda row: number(row.cost("params"), scale=1e-6),
        "GFLOPs": lambda row: number(row.cost("gflops")),
        "s/epoch": lambda row: number(row.seconds_per_epoch),
        "memory (MB)": lambda row: number(row.peak_memory_mb, digits=0),
        "paper's AP": lambda row: _paper(row, "ap"),
        "paper's params (M)": lambda row: _paper(row, "params"),
        "paper's GFLOPs": lambda row: _paper(row, "gflops"),
        "paper's min/epoch": lambda row: _paper(row, "minutes_per_epoch"),
    }
    shown = [row for row in rows if row.runs]
    cells = {name: [make(row) for row in shown] for name, make in columns.items()}
    cells = {name: column for name, column in cells.items() if any(c.text for c in column)}
    return Table(
        title="AP by configuration",
        columns=tuple(cells),
        rows=tuple(zip(*cells.values(), strict=True)),
        notes=tuple(_notes(shown, comparisons)),
    )


def figure_table(rows: Sequence[Row]) -> Table:
    """Every figure of every configuration with its spread over the seeds."""
    cells = []
    for row in rows:
        for name in FIGURES:
            pooled = row.pooled(name)
            if pooled.n:
                spread = (number(v, digits=2) for v in pooled[1:])
                cells.append(
                    (Cell(row.label, row.label), Cell(name, name), _count(pooled), *spread)
                )
    columns = ("configuration", "figure", "seeds", "mean", "sd", "95 % from", "to")
    return Table("Every figure, in percent", columns, tuple(cells))


def left_table(left: Sequence[Run], rows: Sequence[Row], directory: Path) -> Table:
    """The runs that do not count, and why."""
    labels = {run.folder: row.label for row in rows for run in row.unfinished}
    cells = []
    for run in left:
        folder = str(run.folder.relative_to(directory))
        texts = (folder, labels.get(run.folder, ""), str(run.seed), run.status, run.problem)
        cells.append(tuple(Cell(text, text) for text in texts))
    columns = ("folder", "configuration", "seed", "status", "why")
    return Table("Runs that do not count", columns, tuple(cells))


def interval(pooled: Pooled) -> Cell:
    """The ends of a 95 % interval; sorted by its width."""
    if math.isnan(pooled.low):
        return Cell("")
    return Cell(f"{pooled.low:.1f} to {pooled.high:.1f}", pooled.high - pooled.low)


def _count(pooled: Pooled) -> Cell:
    return Cell(str(pooled.n), pooled.n)


def _figure(name: str) -> Callable[[Row], Cell]:
    def make(row: Row) -> Cell:
        return number(row.pooled(name).mean)

    return make


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


def _paper(row: Row, name: str) -> Cell:
    value = row.paper.get(name)
    if value is None:
        return Cell("")
    mark = " †" if name.startswith("ap") and row.why_not_comparable else ""
    return Cell(f"{value}{mark}", float(value))


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
    commits = sorted({str(run.record.get("commit"))[:7] for row in rows for run in row.runs})
    if len(commits) > 1:
        yield f"The runs were made with different commits: {', '.join(commits)}."
