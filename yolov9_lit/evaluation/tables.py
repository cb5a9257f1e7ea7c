"""Tables of a metric's result, in percent."""

from __future__ import annotations

import pandas as pd

from yolov9_lit.evaluation.metric import MASK, UNMEASURED, MetricResult
from yolov9_lit.reporting.table import Cell, Table


def results_table(result: MetricResult) -> Table:
    """Return the figures, those of masks beside the boxes'."""
    figures = result.figures()
    boxes = {name: value for name, value in figures.items() if not name.startswith(MASK)}
    rows = [
        (name, _percent(value), _percent(figures.get(f"{MASK}{name}", UNMEASURED)))
        for name, value in boxes.items()
    ]
    frame = pd.DataFrame(rows, columns=["figure", "boxes", "masks"])
    if len(boxes) == len(figures):
        frame = frame[["figure", "boxes"]].set_axis(["figure", ""], axis=1)
    return Table(f"{result.num_images} images (%)", frame)


def per_class_table(result: MetricResult) -> Table:
    """Return one row per class by descending AP; classes without objects come last."""
    classes = sorted(result.per_class, key=lambda row: -row.AP)
    names = ["AP", "AP50", "AR_100"]
    if any(row.mask_AP != UNMEASURED for row in classes):
        names += [f"{MASK}{name}" for name in names]
    rows = [
        (row.name, row.objects, *(_percent(getattr(row, name)) for name in names))
        for row in classes
    ]
    return Table("By class (%)", pd.DataFrame(rows, columns=["class", "objects", *names]))


def _percent(value: float) -> Cell:
    """Format a fraction as percent; COCO gives -1 where there are no objects."""
    return Cell("-") if value < 0 else Cell(f"{100 * value:.1f}", value)
