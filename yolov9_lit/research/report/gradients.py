"""The table of gradients: what runs with `callbacks=gradients` measured of each branch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.statistics import pool

FILE = "gradients.csv"
KEYS = ["quantity", "branch", "stage"]


def gradient_table(rows: Sequence[Row]) -> Table:
    """Make a row of each configuration, quantity and branch, a column of each stage.

    Of a run its later half counts: gradients of the first epochs are mostly noise.
    """
    found = {row.label: _of_runs(run.folder / FILE for run in row.runs) for row in rows}
    stages = list(dict.fromkeys(key[2] for of_row in found.values() for key in of_row))
    cells = [
        {
            "configuration": label,
            "gradient's": quantity,
            "branch": branch,
            **{stage: _cell(of_row.get((quantity, branch, stage), ())) for stage in stages},
        }
        for label, of_row in found.items()
        for quantity, branch in dict.fromkeys(key[:2] for key in of_row)
    ]
    note = (
        "Mean of the later half of the measured epochs, ± standard deviation over the seeds. "
        "Cosine: with the main branch's gradient. Reliability: with the gradient of other batches, "
        "comparable at one batch size. docs/seeing.md tells more."
    )
    return Table("Gradients by stage and branch", pd.DataFrame(cells), (note,))


def _of_runs(paths: Iterable[Path]) -> dict[tuple[str, str, str], list[float]]:
    """Return by quantity, branch and stage a value of each run that measured it."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for path in paths:
        for key, value in _of_run(path).items():
            values.setdefault(key, []).append(value)
    return values


def _of_run(path: Path) -> dict[tuple[str, str, str], float]:
    """Read a run's file; nothing where there is none, or none that can be read."""
    if not path.is_file():
        return {}
    try:
        frame = pd.read_csv(path, on_bad_lines="skip", dtype=dict.fromkeys(KEYS, str))
        numbers = frame[["epoch", "value"]].apply(pd.to_numeric, errors="coerce")
        frame = frame[KEYS].join(numbers.replace([np.inf, -np.inf], np.nan)).dropna()
    except (OSError, ValueError, KeyError):  # Killed while it was written, or not its own.
        return {}
    late = frame[frame["epoch"] >= frame["epoch"].median()]
    means = late.groupby(KEYS, sort=False)["value"].mean().reset_index()
    return dict(zip(zip(*(means[key] for key in KEYS), strict=True), means["value"], strict=True))


def _cell(values: Sequence[float]) -> Cell:
    pooled = pool(values)
    cell = number(pooled.mean, digits=2)
    return cell._replace(text=f"{cell.text} ± {pooled.sd:.2f}") if pooled.n > 1 else cell
