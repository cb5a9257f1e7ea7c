"""The table of information: how much of the image each configuration's backbone keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.probes.quantities import IMAGE, TRAINED, half_depth
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.statistics import pool

FILE = "information.csv"
LEVELS = ("P3", "P4", "P5")
HALF = "half depth"


def information_table(rows: Sequence[Row]) -> Table:
    """Make a row of each configuration: shares of variance at the levels, and the half depth."""
    cells = []
    for row in rows:
        measured = [found for run in row.runs if (found := _of_run(run.folder / FILE))]
        if measured:
            shares = {level: _cell([one[level] for one in measured], 3) for level in LEVELS}
            half = _cell([one[HALF] for one in measured], 1)
            seeds = Cell(str(len(measured)), len(measured))
            cells.append({"configuration": row.cell, "seeds": seeds, **shares, HALF: half})
    note = (
        "Share of the image's variance that a ridge regression reads from the output, and the "
        "first measured depth with less than half of what P1 has: means over the seeds, ± standard "
        "deviation. Comparable if all were probed on the same images. docs/seeing.md tells more."
    )
    return Table("Information about the image by depth", pd.DataFrame(cells), (note,))


def _of_run(path: Path) -> dict[str, float]:
    """Read a run's file; nothing where there is none, or none of one trained model."""
    if not path.is_file():
        return {}
    try:
        frame = pd.read_csv(path, on_bad_lines="skip", dtype={"network": str, "layer": str})
        frame = frame[(frame["network"] == TRAINED) & (frame["quantity"] == IMAGE)]
        numbers = frame[["depth", "value"]].apply(pd.to_numeric, errors="coerce")
        one = frame[["model", "layer"]].join(numbers.replace([np.inf, -np.inf], np.nan)).dropna()
    except (OSError, ValueError, KeyError):  # Not its own.
        return {}
    values = one.set_index("layer")["value"]
    if one["model"].nunique() != 1 or not values.index.is_unique:
        return {}
    if not {"P1", *LEVELS} <= set(values.index):
        return {}
    return {level: float(values[level]) for level in LEVELS} | {HALF: half_depth(one)}


def _cell(values: Sequence[float], digits: int) -> Cell:
    """Show the mean; of depths those that are reached, and how many never are."""
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return Cell("never", float("inf"))
    pooled = pool(known)
    cell = number(pooled.mean, digits=digits)
    spread = f" ± {pooled.sd:.{digits}f}" if pooled.n > 1 else ""
    missing = len(values) - len(known)
    never = f", never in {missing}" if missing else ""
    return cell._replace(text=f"{cell.text}{spread}{never}")
