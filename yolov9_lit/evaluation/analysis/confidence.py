"""F1 against confidence, and the confidence at which it is best."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import COLORS, Plot, make_axes, save_axes
from yolov9_lit.reporting.table import Table, number

GRID = np.linspace(0.0, 1.0, 201)
"""Confidences of the curves in plot and CSV."""


class Best(NamedTuple):
    """The confidence of the best F1 of one class, or of all; None where nothing was found.

    Attributes:
        name: of the class.
        objects: to be found.
        curve: (201,) F1 at the confidences of `GRID`.
        confidence: the threshold, 0..1.
        f1: there.
        precision: there.
        recall: there.
    """

    name: str
    objects: int
    curve: np.ndarray
    confidence: float | None
    f1: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class BestConfidence(Analysis):
    """F1, the harmonic mean of precision and recall, at an IoU of 0.5 by confidence."""

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Find the best confidence of each class, and of all."""
        measured = compared.task.objects.categories[compared.measured]
        counts = np.bincount(measured, minlength=len(compared.class_names) + 1)
        everything = np.ones(len(compared.scores), dtype=bool)
        classes = [
            _best(compared, name, compared.classes == kind, int(counts[kind]))
            for kind, name in enumerate(compared.class_names, start=1)
            if counts[kind]
        ]
        pooled = _best(compared, "all classes", everything, len(measured))
        told = (
            "Nothing is found, so no confidence is best."
            if pooled.confidence is None
            else f"The best for all detections together is {pooled.confidence:.3f}; the parts of"
            " this page that need a threshold take it."
        )
        return Section(
            "Confidence",
            "Which detections to trust: F1, the harmonic mean of precision and recall at"
            f" {compared.an_overlap} of 0.5, of the detections of at least a confidence. {told}",
            [_plot(pooled, classes, compared.an_overlap, folder / "f1_confidence.png")],
            [_table([pooled, *classes])],
            {"f1_confidence": _frame([pooled, *classes])},
        )


def _best(compared: Compared, name: str, chosen: np.ndarray, objects: int) -> Best:
    scores, hits, wrong = compared.ranked(chosen)
    f1 = compared.f1(chosen, objects)[1]
    reaching = np.searchsorted(-scores, -GRID, side="right") - 1  # lowest score of at least that
    curve = np.append(f1, 0.0)[reaching]
    if not f1.any():
        return Best(name, objects, curve, None, None, None, None)
    at = int(f1.argmax())
    precision, recall = hits[at] / (hits[at] + wrong[at]), hits[at] / objects
    return Best(name, objects, curve, scores[at], f1[at], precision, recall)


def _plot(pooled: Best, classes: list[Best], overlap: str, path: Path) -> Plot:
    (axes,) = make_axes("confidence", "F1 (%)")
    for best in classes:
        axes.plot(GRID, 100 * best.curve, color="#bbbbbb", lw=0.7)
    axes.plot(GRID, 100 * pooled.curve, color=COLORS[0], lw=2.2)
    if pooled.confidence is not None and pooled.f1 is not None:
        axes.plot(pooled.confidence, 100 * pooled.f1, "o", color=COLORS[1])
        text = f"{100 * pooled.f1:.1f} at {pooled.confidence:.3f}"
        place = (pooled.confidence, 100 * pooled.f1)
        axes.annotate(text, place, (0, 8), textcoords="offset points", ha="center")
    axes.set(xlim=(0, 1), ylim=(0, 105))
    caption = f"F1 by confidence at {overlap} of 0.5: all detections together; each class in grey."
    return save_axes(axes, path, caption)


def _table(bests: list[Best]) -> Table:
    rows = [
        (
            best.name,
            best.objects,
            number(best.confidence, digits=3),
            *(None if v is None else 100 * v for v in (best.f1, best.precision, best.recall)),
        )
        for best in bests
    ]
    columns = ["class", "objects", "best confidence", "F1 (%)", "precision (%)", "recall (%)"]
    return Table("Best confidence by class", pd.DataFrame(rows, columns=columns))


def _frame(bests: list[Best]) -> pd.DataFrame:
    """Return a row for each class, a column for each confidence."""
    curves = pd.DataFrame(
        np.stack([best.curve for best in bests]).round(4), columns=[f"{c:.3f}" for c in GRID]
    )
    curves.insert(0, "class", [best.name for best in bests])
    return curves
