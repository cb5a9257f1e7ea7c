"""Kinds of error, and the AP that each costs (TIDE, arXiv 2008.08115)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.matches import MATCH_IOU
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import COLORS, Plot, make_axes, save_axes
from yolov9_lit.reporting.table import Table, number

BACKGROUND_IOU = 0.1
"""Overlap up to which a detection lies on the background; TIDE's own value."""

KINDS = {
    "Cls": ("class", "overlaps an object of another class by 0.5 or more"),
    "Loc": ("box", "its class is right, its overlap is between 0.1 and 0.5"),
    "Both": ("both", "overlaps an object of another class alone, by 0.1 to 0.5"),
    "Dupe": ("duplicate", "finds an object that a detection of higher confidence has found"),
    "Bkg": ("background", "overlaps no object by more than 0.1"),
    "Miss": (
        "missed",
        "an object that is not found, nor almost found by an error of the first two kinds",
    ),
}
"""Name and meaning of each kind, by hotcoco's name of it."""

NUMBER = "number"
"""Name of the column."""

SUMS = {
    "FP": ("all false detections", "as if no false detection were above a right one"),
    "FN": ("all objects not found", "as if only objects that are found were to be found"),
}

OVERLAPS = {
    "segm": "Overlaps are those of masks",
    "keypoints": "An overlap with an object of the same class is the similarity of their keypoints"
    " (OKS), with one of another class the IoU of their boxes",
}
"""What is compared where it is not boxes."""


@dataclass(frozen=True)
class ErrorKinds(Analysis):
    """The six kinds of error of TIDE (section 2.2) and the AP50 that mending each alone gains."""

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Count the kinds of error, with the AP50 that each costs."""
        told = _Told.of(compared)
        named = KINDS | SUMS
        named["Loc"] = (compared.prefix.strip() or "box", named["Loc"][1])
        frame = pd.DataFrame({"error": [name for name, _ in named.values()]})
        frame = frame.join(told.columns([*named]))
        text = (
            f"What would be gained: {compared.prefix}AP50 is {told.ap50:.1f} %, and would be higher"
            " by these points if one kind of error alone were mended (TIDE). The gains do not add"
            " up: one error may hide another."
            if compared.measured.any()
            else f"There is no {compared.prefix}AP50 that an error could cost."
        )
        if compared.of_boxes:
            boxes = _Told.of(compared.of_boxes)
            frame = frame.join(boxes.columns([*named]).add_suffix(", by boxes"))
            text += (
                f" {OVERLAPS[compared.task.compared]}; what boxes tell by theirs stands beside:"
                f" AP50 of boxes is {boxes.ap50:.1f} %."
            )
        frame["what it is"] = [meaning for _, meaning in named.values()]
        shown = frame.astype(object)
        for column in [name for name in map(str, frame) if name.startswith(NUMBER)]:
            shown[column] = [number(n, digits=0) for n in frame[column]]
        costs = {named[kind][0]: told.costs.get(kind, 0.0) for kind in KINDS}
        return Section(
            "Kinds of error",
            text,
            [_plot(costs, folder / "errors.png")],
            [Table("Kinds of error", shown)],
            {"errors": frame},
        )


class _Told(NamedTuple):
    """What TIDE tells of boxes, masks or keypoints.

    Attributes:
        ap50: in percent; 0 where there is no object.
        counts: of each kind.
        costs: of each kind and sum that costs anything, in points of AP50.
    """

    ap50: float
    counts: Mapping[str, int]
    costs: Mapping[str, float]

    @classmethod
    def of(cls, compared: Compared) -> _Told:
        found = compared.without_ignored.tide_errors(pos_thr=MATCH_IOU, bg_thr=BACKGROUND_IOU)
        costs = {kind: 100 * gain for kind, gain in found["delta_ap"].items()}
        return cls(100 * max(found["ap_base"], 0.0), found["counts"], costs)

    def columns(self, kinds: Sequence[str]) -> pd.DataFrame:
        """Return a row of each kind."""
        counts = pd.array([self.counts.get(kind) for kind in kinds], dtype="Int64")
        costs = [self.costs.get(kind, 0.0) for kind in kinds]
        return pd.DataFrame({NUMBER: counts, "costs AP50 (points)": costs})


def _plot(costs: dict[str, float], path: Path) -> Plot:
    (axes,) = make_axes("costs AP50 (points)", "", size=(7.2, 3.2))
    names = list(costs)[::-1]
    bars = axes.barh(names, [costs[name] for name in names], color=COLORS[0])
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.grid(False)
    axes.margins(x=0.12)
    axes.set_xlim(0, max(axes.get_xlim()[1], 1.0))
    caption = "The AP50 that each kind of error costs, if it alone were mended."
    return save_axes(axes, path, caption)
