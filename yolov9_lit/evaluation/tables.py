"""Tables of a metric's result, in percent."""

from __future__ import annotations

import pandas as pd

from yolov9_lit.evaluation.metric import MetricResult
from yolov9_lit.reporting.table import Cell, Table


def results_table(result: MetricResult) -> Table:
    """Return the figures."""
    rows = [(name, _percent(value)) for name, value in result.figures().items()]
    return Table(f"{result.num_images} images (%)", pd.DataFrame(rows, columns=["figure", ""]))


def per_class_table(result: MetricResult) -> Table:
    """Return one row per class by descending AP; classes without objects come last."""
    rows = [
        (row.name, row.objects, *map(_percent, (row.AP, row.AP50, row.AR_100)))
        for row in sorted(result.per_class, key=lambda row: -row.AP)
    ]
    columns = ["class", "objects", "AP", "AP50", "AR_100"]
    return Table("By class (%)", pd.DataFrame(rows, columns=columns))


def _percent(value: float) -> Cell:
    """Format a fraction as percent; COCO gives -1 where there are no objects."""
    return Cell("-") if value < 0 else Cell(f"{100 * value:.1f}", value)
