"""Tables of a metric's result for the terminal."""

from __future__ import annotations

from rich.table import Table

from yolov9_lit.evaluation.metric import MetricResult


def results_table(result: MetricResult) -> Table:
    """Return the figures in percent as a table."""
    table = Table(title=f"{result.num_images} images (%)", title_justify="left")
    table.add_column("figure")
    table.add_column("", justify="right")
    for name, value in result.figures().items():
        table.add_row(name, _percent(value))
    return table


def per_class_table(result: MetricResult) -> Table:
    """Return one row per class by descending AP; classes without objects come last."""
    table = Table(title="By class (%)", title_justify="left")
    table.add_column("class")
    for name in ("objects", "AP", "AP50", "AR_100"):
        table.add_column(name, justify="right")
    for row in sorted(result.per_class, key=lambda row: -row.AP):
        figures = (row.AP, row.AP50, row.AR_100)
        table.add_row(row.name, str(row.objects), *(_percent(value) for value in figures))
    return table


def _percent(value: float) -> str:
    """Format a fraction as percent; COCO gives -1 where there are no objects."""
    return "-" if value < 0 else f"{100 * value:.1f}"
