"""Kinds of error, and the AP that each costs (TIDE, arXiv 2008.08115)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import MATCH_IOU, Compared
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
    "Miss": ("missed", "an object that is not found, nor almost found by a class or box error"),
}
"""Name and meaning of each kind, by hotcoco's name of it."""

SUMS = {
    "FP": ("all false detections", "as if no false detection were above a right one"),
    "FN": ("all objects not found", "as if only objects that are found were to be found"),
}


@dataclass(frozen=True)
class ErrorKinds(Analysis):
    """The six kinds of error of TIDE (section 2.2) and the AP50 that mending each alone gains."""

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Count the kinds of error, with the AP50 that each costs."""
        found = compared.without_crowds.tide_errors(pos_thr=MATCH_IOU, bg_thr=BACKGROUND_IOU)
        gains = {kind: 100 * gain for kind, gain in found["delta_ap"].items()}
        frame = pd.DataFrame(
            {
                "error": [name for name, _ in (*KINDS.values(), *SUMS.values())],
                "number": [found["counts"].get(kind) for kind in (*KINDS, *SUMS)],
                "costs AP50 (points)": [gains.get(kind, 0.0) for kind in (*KINDS, *SUMS)],
                "what it is": [meaning for _, meaning in (*KINDS.values(), *SUMS.values())],
            }
        ).astype({"number": "Int64"})
        shown = frame.astype(object)
        shown["number"] = [number(n, digits=0) for n in frame["number"]]
        costs = {name: gains.get(kind, 0.0) for kind, (name, _) in KINDS.items()}
        return Section(
            "Kinds of error",
            f"What would be gained: AP50 is {100 * max(found['ap_base'], 0.0):.1f} %, and would be"
            " higher by these points if one kind of error alone were mended (TIDE). The gains do"
            " not add up: one error may hide another.",
            [_plot(costs, folder / "errors.png")],
            [Table("Kinds of error", shown)],
            {"errors": frame},
        )


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
