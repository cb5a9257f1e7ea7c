"""The report's numbers as a data frame, and its tables before they have a format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.report.compare import THE_SAME, ByFigure, Comparison, Comparisons
from yolov9_lit.research.report.differences import difference_cell, interval_cell
from yolov9_lit.research.report.metrics import named
from yolov9_lit.research.report.power import MOST, SIZES, seeds_needed
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.runs import FIGURES, KEYPOINT_FIGURES, MASK_FIGURES

BRIEF = (
    *("configuration", "seeds", "AP", "difference", "mask AP", "mask difference"),
    *("pose AP", "pose difference", "GFLOPs", "paper's AP", "paper's mask AP"),
)
"""Columns that fit a terminal."""


def result_frame(rows: Sequence[Row], comparisons: ByFigure) -> pd.DataFrame:
    """Return one row for each configuration that has results, in full precision.

    AP in percent, parameters as counted; a column for each number, those of masks and keypoints
    where there are such.
    """
    return pd.DataFrame([_record(row, comparisons) for row in rows if row.runs])


def _record(row: Row, comparisons: ByFigure) -> dict[str, Any]:
    record: dict[str, Any] = {**row.settings, "seeds": len(row.runs)}
    further = [
        name
        for of_kind in (MASK_FIGURES, KEYPOINT_FIGURES)
        if any(row.pooled(name).n for name in of_kind)
        for name in of_kind
    ]
    for figure in (*FIGURES, *further):
        pooled = row.pooled(figure)
        record |= {figure: pooled.mean, f"{figure}_sd": pooled.sd}
        record |= {f"{figure}_low": pooled.low, f"{figure}_high": pooled.high}
    for figure, compared in comparisons.items():
        told = _difference_record(compared.get(row.label))
        record |= {f"{_prefix(figure)}{name}": value for name, value in told.items()}
    record |= {
        "train_params": row.cost("train_params"),
        "params": row.cost("params"),
        "train_gflops": row.cost("train_gflops"),
        "gflops": row.cost("gflops"),
        "seconds_per_epoch": row.seconds_per_epoch,
        "peak_memory_mb": row.peak_memory_mb,
        **{f"paper_{name}": value for name, value in row.paper.items()},
    }
    if row.paper:
        record["paper_comparable"] = not row.why_not_comparable
    return record


def _difference_record(comparison: Comparison | None) -> dict[str, Any]:
    """Return the columns of a difference, with the seeds that each of `SIZES` would need."""
    if comparison is None:
        return {}
    mean, low, high, spread, images = comparison.difference
    record: dict[str, Any] = {"base": comparison.base.label, "difference": mean}
    record |= {"difference_low": low, "difference_high": high, "difference_paired": spread.paired}
    record |= {"difference_seeds": min(spread.counts)}
    record |= {"difference_sd_seeds": spread.sd, "difference_sd_images": images}
    if spread.tells:
        needed = {size: seeds_needed(size, spread.sd, paired=spread.paired) for size in SIZES}
        record |= {f"seeds_for_{s}": n if n <= MOST else math.inf for s, n in needed.items()}
    return record


def result_table(
    frame: pd.DataFrame,
    rows: Sequence[Row],
    comparisons: ByFigure,
    unlike: Mapping[str, Sequence[str]],
) -> Table:
    """Make the report's main table; columns that show nothing are left out.

    Args:
        frame: of `result_frame`.
        rows: that it is of.
        comparisons: with their bases.
        unlike: by figure, the labels of rows whose seeds were not tested on the same.
    """
    shown = [row for row in rows if row.runs]

    def numbers(name: str) -> pd.Series[float]:
        return frame.get(name, pd.Series(math.nan, frame.index)).astype(float)

    columns: dict[str, Any] = {
        "configuration": [row.cell for row in shown],
        "seeds": frame.get("seeds"),
    }
    for figure, compared in comparisons.items():
        before = _prefix(figure).replace("_", " ")
        columns |= {
            named(figure): numbers(figure),
            f"{before}sd": numbers(f"{figure}_sd"),
            f"{before}95 %": map(_interval, numbers(f"{figure}_low"), numbers(f"{figure}_high")),
            f"{before}difference": [_difference(row, compared) for row in shown],
        }
    columns |= {
        **{name: numbers(name) for name in FIGURES[1:]},
        "params (M)": numbers("params") / 1e6,
        "GFLOPs": numbers("gflops"),
        "paper's AP": map(_papers_ap, numbers("paper_ap"), shown),
        "paper's mask AP": map(_papers_ap, numbers("paper_mask_ap"), shown),
    }
    notes = (*_unlike(unlike), *_notes(shown, comparisons))
    return Table("AP by configuration", pd.DataFrame(columns), notes).without_empty_columns()


def _interval(low: float, high: float) -> Cell:
    """Show the ends of a 95 % interval; sorted by its width."""
    return Cell("") if math.isnan(low) else Cell(f"{low:.1f} to {high:.1f}", high - low)


def _difference(row: Row, comparisons: Comparisons) -> Cell:
    comparison = comparisons.get(row.label)
    if comparison is None:
        is_base = any(other.base is row for other in comparisons.values())
        return Cell("base", 0.0) if is_base else Cell("")
    cell, interval = difference_cell(comparison), interval_cell(comparison)
    return cell._replace(text=f"{cell.text} ({interval.text})") if interval.text else cell


def _papers_ap(value: float, row: Row) -> Cell:
    cell = number(value, digits=1)
    return cell._replace(text=f"{cell.text} †") if cell.text and row.why_not_comparable else cell


def _prefix(figure: str) -> str:
    """Return what the columns of a figure begin with: "", "mask_" or "pose_"."""
    return figure.removesuffix("AP")


def _unlike(unlike: Mapping[str, Sequence[str]]) -> Iterable[str]:
    for figure, labels in unlike.items():
        if labels:
            yield (
                f"{named(figure)} of {'; '.join(labels)}: the seeds were not tested on {THE_SAME}, "
                "so their mean is of unlike figures."
            )


def _notes(rows: Sequence[Row], comparisons: ByFigure) -> Iterable[str]:
    if any(len(row.runs) > 1 for row in rows):
        yield "AP in percent: mean over the seeds, standard deviation, Student's 95 % interval."
    for figure, compared in comparisons.items():
        bases = dict.fromkeys(comparison.base.label for comparison in compared.values())
        if bases:
            difference = f"{_prefix(figure)}difference".replace("_", " ").capitalize()
            yield (
                f"{difference}: {named(figure)} less that of {'; '.join(bases)}; what it tells is "
                "said below."
            )
    known = [row for row in rows if row.paper.get("ap") is not None]
    sources = sorted({row.paper["source"] for row in known if "source" in row.paper})
    if sources:
        yield f"Of segmentation the paper has no figures; those shown: {'; '.join(sources)}."
    unlike = [row for row in known if row.why_not_comparable]
    if unlike:
        epochs = " or ".join(map(str, sorted({row.paper_epochs for row in unlike})))
        reasons = "; ".join(sorted({row.why_not_comparable for row in unlike}))
        yield (
            f"† Not comparable: the paper's AP is of COCO val2017 after {epochs} epochs, ours of "
            f"{reasons}."
        )
    commits = sorted({str(run.record.commit)[:7] for row in rows for run in row.runs})
    if len(commits) > 1:
        yield f"The runs were made with different commits: {', '.join(commits)}."
