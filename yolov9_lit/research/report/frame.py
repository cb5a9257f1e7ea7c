"""The report as a data frame: full precision, one column a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.runs import FIGURES
from yolov9_lit.research.report.tables import Comparisons


def result_frame(rows: Sequence[Row], comparisons: Comparisons) -> pd.DataFrame:
    """One row a configuration with results; AP in percent, parameters as counted."""
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
