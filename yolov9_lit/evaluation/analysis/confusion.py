"""Which class is taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from yolov9_lit.checks import check_fields
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.matches import MATCH_IOU
from yolov9_lit.kinds import Count, Share
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import Plot, make_axes, save_axes
from yolov9_lit.reporting.table import Table

BACKGROUND = "background"
MOST_NUMBERS = 20
"""Classes up to which the cells of the plot have numbers."""


@dataclass(frozen=True)
class Confusion(Analysis):
    """Objects by their class and the class that they are found as.

    Attributes:
        confidence: detections below it are left out; null: the best for F1.
        listed: the most frequent confusions that are listed.
    """

    confidence: Share | None = None
    listed: Count = 20

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self)

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Count which class is found as which."""
        confidence = compared.confidence(self.confidence)
        compared = compared.located
        counts = confusion_matrix(compared, confidence)
        names = [*compared.class_names, BACKGROUND]
        frame = pd.DataFrame(counts, columns=names, index=pd.Index(names, name="truth"))
        return Section(
            "Confusion",
            f"Detections of a confidence of at least {confidence:.3f} meet the object of their"
            f" image that they overlap by {compared.an_overlap} of {MATCH_IOU} or more, whatever"
            " its class, the most confident first. Objects that meet none are missed (the last"
            " column); detections that meet none are false (the last row).",
            [_plot(counts, names, folder / "confusion.png")],
            [table for table in [self._table(counts, names)] if table.rows],
            {"confusion": frame.reset_index()},
        )

    def _table(self, counts: np.ndarray, names: list[str]) -> Table:
        """List what is found as another class, the most frequent first."""
        between = counts[:-1, :-1].copy()
        np.fill_diagonal(between, 0)
        order = np.argsort(-between, axis=None, kind="stable")[: self.listed]
        pairs = [divmod(int(place), len(between)) for place in order if between.flat[place]]
        rows = [
            (names[i], names[j], int(between[i, j]), 100 * between[i, j] / counts[i].sum())
            for i, j in pairs
        ]
        columns = ["truth", "found as", "objects", "of that class (%)"]
        return Table("Most frequent confusions", pd.DataFrame(rows, columns=columns))


def confusion_matrix(compared: Compared, confidence: float) -> np.ndarray:
    """Count objects and detections by classes: rows are the truth, the last is the background.

    Detections on a crowd of their class count nowhere, as in COCO's figures.

    Args:
        compared: detections and objects.
        confidence: of the detections that are looked at, 0..1.

    Returns:
        (K + 1, K + 1) int64.
    """
    chosen = compared.matches.counted & (compared.scores >= confidence)
    task = compared.task.take(np.ones(len(compared.measured), dtype=bool), chosen)
    told = task.comparison().confusion_matrix(iou_thr=MATCH_IOU, max_det=len(chosen) + 1)
    return np.asarray(told["matrix"]).astype(np.int64)


def _plot(counts: np.ndarray, names: list[str], path: Path) -> Plot:
    """Draw the share of each row."""
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(4.5 + 0.22 * len(names), 16.0)
    (axes,) = make_axes("found as", "truth", size=(side + 1, side))
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    font = 8.5 if len(names) <= MOST_NUMBERS else 5.0
    axes.grid(False)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font)
    axes.set_yticks(range(len(names)), names, fontsize=font)
    if len(names) <= MOST_NUMBERS + 1:
        for (i, j), share in np.ndenumerate(shares):
            if counts[i, j]:
                color = "white" if share > 60 else "black"
                axes.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", color=color, size=7)
    bar = axes.figure.colorbar(drawn, shrink=0.8)
    bar.set_label("share of the row (%)")
    caption = "Shade: share of each row. Numbers: of objects; in the last row, of false detections."
    return save_axes(axes, path, caption)
