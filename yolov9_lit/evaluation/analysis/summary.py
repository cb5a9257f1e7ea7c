"""COCO's figures, those of masks or keypoints beside those of boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.coco_figures import CocoResult, figures_of
from yolov9_lit.evaluation.coco_task import MOST_POSES
from yolov9_lit.evaluation.metric import MASK, POSE
from yolov9_lit.evaluation.tables import per_class_table, results_table
from yolov9_lit.reporting.page import Section

NOTHING = {
    "bbox": "No image that was evaluated has an object",
    "segm": "No object of the images that were evaluated has a mask",
    "keypoints": "No object of the images that were evaluated has a keypoint",
}
"""What is said where there is nothing to be found."""


@dataclass(frozen=True)
class Figures(Analysis):
    """The twelve figures, all classes together and the main ones of each."""

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Show what was measured."""
        names = dict(enumerate(compared.class_names, start=1))
        boxes = compared.of_boxes or compared
        result = figures_of(boxes.task, boxes.curves, names)
        text = "What COCO's evaluation says of the detections, in percent."
        if compared.task.masks:
            result = result.beside(figures_of(compared.task, compared.curves, names))
            text += (
                " Boxes and masks are measured each by their own overlap (IoU). The parts below"
                " compare masks; where boxes tell something else, it stands beside."
            )
        if compared.task.poses:
            result = result.with_keypoints(compared.curves)
            text += (
                f" Keypoints are measured by their similarity (OKS), of the {MOST_POSES} best"
                " detections of an image and class, and of objects with a keypoint. The parts below"
                " compare keypoints; those on confusion and on annotations compare boxes, and"
                " elsewhere what boxes tell stands beside."
            )
        if not compared.measured.any():
            text += f" {NOTHING[compared.task.compared]}: the parts below measure nothing."
        return Section(
            "Figures",
            text,
            tables=[results_table(result), per_class_table(result)],
            data={"figures": _frame(result)},
        )


def _frame(result: CocoResult) -> pd.DataFrame:
    """Return the figures as fractions, of all classes and of each; -1 where nothing is measured."""
    rows = [{"class": "all classes"} | result.figures()]
    for one in result.per_class:
        named = one._asdict()
        rows.append({"class": named.pop("name")} | named)
    frame = pd.DataFrame(rows).drop(columns="category_id", errors="ignore")
    for prefix, measured in ((MASK, result.masks), (POSE, result.keypoints)):
        if measured is None:
            frame = frame.loc[:, ~frame.columns.str.startswith(prefix)]
    return frame
