"""COCO's figures, those of masks beside those of boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.coco_figures import CocoResult, figures_of
from yolov9_lit.evaluation.tables import per_class_table, results_table
from yolov9_lit.reporting.page import Section


@dataclass(frozen=True)
class Figures(Analysis):
    """The twelve figures, all classes together and the main ones of each."""

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Show what was measured."""
        result = _result(compared)
        text = "What COCO's evaluation says of the detections, in percent."
        if compared.of_boxes:
            result = _result(compared.of_boxes).beside(result)
            text += (
                " Boxes and masks are measured each by their own overlap (IoU). The parts below"
                " compare masks; where boxes tell something else, it stands beside."
            )
        return Section(
            "Figures",
            text,
            tables=[results_table(result), per_class_table(result)],
            data={"figures": _frame(result)},
        )


def _result(compared: Compared) -> CocoResult:
    names = dict(enumerate(compared.class_names, start=1))
    return figures_of(compared.task, compared.curves, names)


def _frame(result: CocoResult) -> pd.DataFrame:
    """Return the figures as fractions, of all classes and of each; -1 where nothing is measured."""
    rows = [{"class": "all classes"} | result.figures()]
    for one in result.per_class:
        named = one._asdict()
        rows.append({"class": named.pop("name")} | named)
    frame = pd.DataFrame(rows).drop(columns="category_id", errors="ignore")
    return frame if result.masks else frame.loc[:, ~frame.columns.str.startswith("mask_")]
