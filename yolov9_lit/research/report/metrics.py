"""A run's `metrics.csv`: what it logged by epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from yolov9_lit.evaluation.coco_task import Kind

KINDS: dict[str, Kind] = {"AP": "bbox", "mask_AP": "segm", "pose_AP": "keypoints"}
"""The figures by which runs are compared, with what each is of: those of masks and keypoints
besides where runs find such."""

COMPARED = tuple(KINDS)

MOST_EPOCHS = 1_000_000
"""What stands in a file beyond that is damage."""

TERM = re.compile(r"(train|val)/([^/]+)/(?!weight$)[^/]+")
"""Columns of a branch's loss terms; beside them stands its weight, which is none."""


class Metrics(NamedTuple):
    """What was logged by epoch (the index, from 0).

    Attributes:
        curves: by figure (of `COMPARED`) its value in the validation as a fraction, of the epochs
            in which it was measured; empty where it never was.
        losses: by ("train" or "val", branch) the sum of the branch's terms, NaN where one lacks.
    """

    curves: Mapping[str, pd.Series[float]]
    losses: pd.DataFrame


def named(figure: str) -> str:
    """Return a figure's name as it is shown: "AP", "mask AP", "pose AP"."""
    return figure.replace("_", " ")


def begun(figure: str) -> str:
    """Return the name at the beginning of a line: "AP", "Mask AP", "Pose AP"."""
    name = named(figure)
    return f"{name[0].upper()}{name[1:]}"


def read_metrics(path: Path) -> Metrics:
    """Read the file; of an epoch told twice (a resume) the later figure holds.

    What cannot be read of it is as if it had not been logged.
    """
    try:
        text = pd.read_csv(path, on_bad_lines="skip", dtype=str)
        numbers = text.apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
        numbers = numbers[numbers["epoch"].between(0, MOST_EPOCHS)]
    except (OSError, ValueError, KeyError):  # also pandas' parser errors: killed while writing
        return Metrics({name: pd.Series(dtype=float) for name in COMPARED}, pd.DataFrame())
    epochs = numbers["epoch"].astype(int)
    curves = {name: _curve(f"val/{name}", numbers, epochs) for name in COMPARED}
    return Metrics(curves, _losses(numbers, epochs))


def _curve(name: str, numbers: pd.DataFrame, epochs: pd.Series[int]) -> pd.Series[float]:
    ap = numbers.get(name, pd.Series(dtype=float))
    curve = ap[ap.between(-1, 1)].groupby(epochs).last()
    return curve[curve >= 0]


def _losses(numbers: pd.DataFrame, epochs: pd.Series[int]) -> pd.DataFrame:
    terms: dict[tuple[str, str], list[str]] = {}
    for name in numbers.columns:
        if found := TERM.fullmatch(str(name)):
            terms.setdefault((found[1], found[2]), []).append(str(name))
    last = numbers.groupby(epochs).last()
    sums = {key: last[names].sum(axis=1, skipna=False) for key, names in terms.items()}
    if not sums:
        return pd.DataFrame()
    return pd.concat(sums, axis=1, names=["stage", "branch"]).dropna(how="all")
