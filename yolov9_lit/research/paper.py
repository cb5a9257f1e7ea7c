"""The figures that the YOLOv9 paper (arXiv 2402.13616) prints, by the row of `conf/row`.

The paper has none of instance segmentation: those rows have what its authors publish elsewhere,
and the `source`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd


def paper_figures(row: str | None, config: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the paper's figures for a row; empty where the paper has no such row.

    Args:
        row: name of its file in `conf/row`, without the ending; None where no row was chosen.
        config: the composed config. A user's own rows, and runs of earlier versions, have their
            figures under `paper`.

    Returns:
        "table" and "model" (strings), and as many figures as the table prints: "params" in
        millions and "gflops" (both deployed), "ap", "ap50", ... and "mask_ap" in percent, "epochs"
        where they are not 500, "minutes_per_epoch"; "source" (a string) where it is not the paper.
    """
    return _by_row().get(row) or dict(config.get("paper") or {})


@cache
def _by_row() -> dict[str | None, dict[str, Any]]:
    with files(__package__).joinpath("paper.csv").open(encoding="utf-8") as file:
        frame = pd.read_csv(file, index_col="row").convert_dtypes()
    rows = frame.to_dict(orient="index")
    return {
        str(row): {str(name): value for name, value in figures.items() if not pd.isna(value)}
        for row, figures in rows.items()
    }
