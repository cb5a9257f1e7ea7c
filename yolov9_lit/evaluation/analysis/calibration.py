"""Whether a confidence of 0.8 means that 80 of 100 such detections are right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from yolov9_lit.checks import check_fields
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.matches import MATCH_IOU
from yolov9_lit.kinds import Limits
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import COLORS, Plot, make_axes, save_axes
from yolov9_lit.reporting.table import Table


@dataclass(frozen=True)
class Calibration(Analysis):
    """Share of right detections by confidence (Guo et al., arXiv 1706.04599, figure 1).

    Attributes:
        bins: of equal width.
    """

    bins: Annotated[int, Limits(1, 100)] = 10

    def __post_init__(self) -> None:
        """Check the range."""
        check_fields(self)

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Compare confidences with the share of right detections."""
        found = compared.evaluation.calibration(n_bins=self.bins, iou_threshold=MATCH_IOU)
        frame = pd.DataFrame(found["bins"]).set_axis(
            ["from", "to", "confidence", "right", "detections"], axis=1
        )
        filled = frame[frame["detections"] > 0]
        told = "There is no detection." if filled.empty else _tell(found)
        classes = [(name, 100 * error) for name, error in sorted(_by_class(compared, found))]
        return Section(
            "Calibration",
            "Whether confidences can be read as probabilities: of the detections of about a"
            f" confidence, the share that finds an object at {compared.an_overlap} of {MATCH_IOU}."
            f" {told}",
            [] if filled.empty else [_plot(filled, 1 / self.bins, folder / "calibration.png")],
            [Table("Calibration error by class", pd.DataFrame(classes, columns=COLUMNS))],
            {"calibration": frame},
        )


COLUMNS = ("class", "calibration error (points)")


def _tell(found: dict[str, Any]) -> str:
    return (
        f"The mean distance from that, over the {found['num_detections']:,} detections, is"
        f" {100 * found['ece']:.1f} points (expected calibration error), the largest of a bin"
        f" {100 * found['mce']:.1f}. Most detections of an evaluation have a very low confidence,"
        " so the first bin weighs most."
    )


def _by_class(compared: Compared, found: dict[str, Any]) -> list[tuple[str, float]]:
    """Return names and errors; hotcoco is given the classes' numbers for names."""
    return [
        (compared.class_names[int(number) - 1], error)
        for number, error in found["per_category"].items()
    ]


def _plot(bins: pd.DataFrame, width: float, path: Path) -> Plot:
    (axes,) = make_axes("confidence", "right detections (%)")
    middles = (bins["from"] + bins["to"]) / 2
    axes.bar(middles, 100 * bins["right"], 0.94 * width, color=COLORS[0], alpha=0.75)
    axes.plot([0, 1], [0, 100], "--", color="#3A3A3A", lw=1.2)
    for x, right, count in zip(middles, bins["right"], bins["detections"], strict=True):
        axes.annotate(
            f"{count:,}", (x, 100 * right), (0, 3), textcoords="offset points", ha="center", size=7
        )
    axes.set(xlim=(0, 1), ylim=(0, 108))
    caption = (
        "Right detections by confidence. Bars below the dashed line: too sure of itself; above:"
        " not sure enough. Numbers: detections."
    )
    return save_axes(axes, path, caption)
