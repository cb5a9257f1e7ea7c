"""Tables of a metric's result, in percent."""

from __future__ import annotations

import pandas as pd

from yolov9_lit.evaluation.metric import MASK, POSE, UNMEASURED, ClassResult, MetricResult
from yolov9_lit.reporting.table import Cell, Table

KINDS = {MASK: "masks", POSE: "keypoints"}
"""What figures whose names begin so are of; others are of boxes."""


def results_table(result: MetricResult) -> Table:
    """Return the figures, those of masks or keypoints beside the boxes'."""
    columns: dict[str, dict[str, float]] = {}
    for full, value in result.figures().items():
        prefix = next((prefix for prefix in KINDS if full.startswith(prefix)), "")
        columns.setdefault(prefix, {})[full.removeprefix(prefix)] = value
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [
        (name, *(percent(column.get(name, UNMEASURED)) for column in columns.values()))
        for name in names
    ]
    heads = [KINDS.get(prefix, "boxes") for prefix in columns] if len(columns) > 1 else [""]
    return Table(f"{result.num_images} images (%)", pd.DataFrame(rows, columns=["figure", *heads]))


def per_class_table(result: MetricResult) -> Table:
    """Return one row per class by descending AP; classes without objects come last."""
    classes = sorted(result.per_class, key=lambda row: -row.AP)
    names = [
        name
        for name in ClassResult._fields[3:]
        if not name.startswith((*KINDS,))
        or any(getattr(row, name) != UNMEASURED for row in classes)
    ]
    rows = [
        (row.name, row.objects, *(percent(getattr(row, name)) for name in names)) for row in classes
    ]
    return Table("By class (%)", pd.DataFrame(rows, columns=["class", "objects", *names]))


def percent(value: float) -> Cell:
    """Format a fraction as percent; COCO gives -1 where there are no objects."""
    return Cell("-") if value < 0 else Cell(f"{100 * value:.1f}", value)
