"""Rich tables of costs, also as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from yolov9_lit.research.rows import RowCost

MARKDOWN_WIDTH = 200


def rows_table(rows: Sequence[RowCost], image_size: int) -> Table:
    """Rows of the paper's tables: their costs, the paper's figures in brackets."""
    title = f"At {image_size} pixels, in brackets the paper's figures"
    table = Table(title=title, title_justify="left")
    table.add_column("row", no_wrap=True)
    for column in ("M deployed", "GFLOPs deployed", "M trained", "GFLOPs trained", "paper's AP"):
        table.add_column(column, justify="right")
    for name, cost, paper in rows:
        table.add_row(
            name,
            f"{cost.deployed.params / 1e6:.2f}{_printed(paper, 'params')}",
            f"{cost.deployed.gflops:.1f}{_printed(paper, 'gflops')}",
            f"{cost.trained.params / 1e6:.2f}",
            f"{cost.trained.gflops:.1f}",
            f"{paper['ap']:.1f}" if "ap" in paper else "",
        )
    return table


def print_table(table: Table, markdown: bool = False) -> None:
    """Print to the terminal as it is, or in Markdown with each row on one line."""
    if not markdown:
        Console().print(table)
        return
    table.box, table.title = box.MARKDOWN, None
    for row in table.rows:
        row.end_section = False  # its line would be no Markdown
    Console(width=MARKDOWN_WIDTH).print(table)


def _printed(paper: Mapping[str, float], figure: str) -> str:
    return f" ({paper[figure]:.1f})" if figure in paper else ""
