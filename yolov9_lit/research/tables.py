"""Rich tables of costs."""

from __future__ import annotations

from rich.table import Table

from yolov9_lit.research.cost import DetectorCost


def cost_table(cost: DetectorCost, image_size: int) -> Table:
    """Parameters by part and, for both forms, in total with GFLOPs at an image size in pixels."""
    table = Table(title="Model", title_justify="left")
    table.add_column("part")
    table.add_column("parameters", justify="right")
    table.add_column(f"GFLOPs at {image_size}", justify="right")
    for name, params in cost.parts.items():
        table.add_row(name, f"{params:,}", "")
    table.add_section()
    for name, form in (("as trained", cost.trained), ("deployed", cost.deployed)):
        table.add_row(name, f"{form.params:,}", f"{form.gflops:.1f}")
    return table
