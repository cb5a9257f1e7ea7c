"""Precision against recall, by overlap and by class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps

from yolov9_lit.checks import check_fields
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.kinds import Count
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import COLORS, Plot, make_axes, save_axes

THRESHOLDS = np.linspace(0.5, 0.95, 10).round(2)
"""Overlaps from which a detection counts as right."""

RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class PrecisionRecall(Analysis):
    """COCO's curves, whose mean height is AP: precision is the best at a recall or beyond it.

    Attributes:
        named: classes with a colour and a name in the plot by class: those of the lowest AP.
    """

    named: Count = 6

    def __post_init__(self) -> None:
        """Check the range."""
        check_fields(self)

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Draw COCO's curves."""
        curves = compared.curves.precision[:, :, :, 0, -1]  # (10, 101, K)
        present = (curves[0] > -1).any(axis=0)
        names = np.array(compared.class_names, dtype=object)[present]
        curves = curves[:, :, present]
        plots = []
        if len(names):
            plots = [
                _by_overlap(curves, compared.overlap, folder / "precision_recall.png"),
                self._by_class(
                    curves[0], names, compared.an_overlap, folder / "precision_recall_by_class.png"
                ),
            ]
        return Section(
            "Precision and recall",
            "Of what is found down to a confidence, precision is the share that is right, recall"
            " the share of all objects that are found. A curve's mean height is the average"
            " precision (AP). A curve that ends early misses objects whatever the confidence; one"
            " that falls from the left has wrong detections of high confidence."
            + ("" if len(names) else " No image that was evaluated has an object."),
            plots,
            data={"precision_recall": _frame(curves, names)},
        )

    def _by_class(self, curves: np.ndarray, names: np.ndarray, overlap: str, path: Path) -> Plot:
        """Draw the curves (101, K) at an IoU of 0.5."""
        (axes,) = make_axes("recall (%)", "precision (%)")
        figures = 100 * curves.mean(axis=0)
        lowest = np.argsort(figures, kind="stable")[: self.named]
        for number in np.setdiff1d(np.arange(len(names)), lowest):
            axes.plot(100 * RECALLS, 100 * curves[:, number], color="#bbbbbb", lw=0.7)
        for place, number in enumerate(lowest):
            color, label = COLORS[place % len(COLORS)], f"{names[number]} {figures[number]:.1f}"
            axes.plot(100 * RECALLS, 100 * curves[:, number], color=color, lw=1.4, label=label)
        mean = f"all classes {figures.mean():.1f}"
        axes.plot(100 * RECALLS, 100 * curves.mean(axis=1), color="black", lw=2.4, label=mean)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, title="AP50 (%)")
        caption = f"By class at {overlap} of 0.5: the mean, and the classes of the lowest AP50"
        if len(names) > self.named:
            caption += "; the others in grey"
        axes.set_ylim(-2, 102)
        return save_axes(axes, path, f"{caption}.")


def _by_overlap(curves: np.ndarray, overlap: str, path: Path) -> Plot:
    """Draw the mean over the classes of curves (10, 101, K), a line for each threshold."""
    (axes,) = make_axes("recall (%)", "precision (%)")
    for place, threshold in enumerate(THRESHOLDS):
        mean = 100 * curves[place].mean(axis=1)
        label, color = f"{threshold:.2f}: AP {mean.mean():.1f}", colormaps["viridis"](place / 10)
        axes.plot(100 * RECALLS, mean, color=color, lw=1.5, label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, title=overlap)
    axes.set_ylim(-2, 102)
    caption = f"Mean over the classes, by the {overlap} from which a detection counts as right."
    return save_axes(axes, path, caption)


def _frame(curves: np.ndarray, names: np.ndarray) -> pd.DataFrame:
    """Return a row for each class and threshold, a column for each recall."""
    rows = curves.transpose(2, 0, 1).reshape(-1, len(RECALLS)).round(4)
    frame = pd.DataFrame(rows, columns=[f"recall {r:.2f}" for r in RECALLS])
    frame.insert(0, "class", np.repeat(names, len(THRESHOLDS)))
    frame.insert(1, "threshold", np.tile(THRESHOLDS, len(names)))
    return frame
