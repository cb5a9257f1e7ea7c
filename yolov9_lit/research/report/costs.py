"""The table of costs: what each configuration takes to train, beside what is deployed of it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.report.compare import Comparisons
from yolov9_lit.research.report.rows import Row


def cost_table(rows: Sequence[Row], comparisons: Comparisons) -> Table:
    """Make a row of each configuration that has results; unknown columns are left out."""
    shown = [row for row in rows if row.runs]
    cells = []
    for row in shown:
        comparison = comparisons.get(row.label)
        base = comparison.base.seconds_per_epoch if comparison else None
        cells.append(
            {
                "configuration": row.label,
                "params trained (M)": _millions(row.cost("train_params")),
                "params deployed (M)": _millions(row.cost("params")),
                "GFLOPs trained": number(row.cost("train_gflops"), digits=1),
                "GFLOPs deployed": number(row.cost("gflops"), digits=1),
                "s/epoch": number(row.seconds_per_epoch, digits=2),
                "of the base's": _ratio(row.seconds_per_epoch, base),
                "epochs": number(row.epochs, digits=0),
                "memory (MB)": number(row.peak_memory_mb, digits=0),
                "paper's params (M)": row.paper.get("params"),
                "paper's GFLOPs": row.paper.get("gflops"),
                "paper's min/epoch": number(row.paper.get("minutes_per_epoch"), digits=0),
            }
        )
    notes = (
        "As trained, with all branches, beside what is deployed: an auxiliary branch costs in "
        "training only. GFLOPs at 640 pixels, of a forward pass. Seconds of an epoch's training, "
        "median over epochs and seeds; its ratio to the base's tells on one device only.",
    )
    return Table("What it costs", pd.DataFrame(cells), notes).without_empty_columns()


def _millions(count: float | None) -> Cell:
    return number(None if count is None else count / 1e6, digits=2)


def _ratio(value: float | None, base: float | None) -> Cell:
    if value is None or not base:
        return Cell("")
    return Cell(f"× {value / base:.2f}", value / base)  # noqa: RUF001
