"""A table as Markdown, LaTeX, HTML and on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from rich.box import SIMPLE_HEAD
from rich.markup import escape as escape_rich
from rich.table import Table as RichTable

from yolov9_lit.reporting.table import Cell, Table

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "†": r"$\dagger$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def markdown(table: Table) -> str:
    """With its title as a heading."""
    numeric = [table.is_numeric(i) for i in range(len(table.columns))]
    lines = [
        _bars(table.columns),
        _bars(["---:" if right else "---" for right in numeric]),
        *(_bars([_markdown_cell(cell) for cell in row]) for row in table.rows),
    ]
    notes = "".join(f"\n{note}\n" for note in map(_markdown_text, table.notes))
    return f"## {table.title}\n\n" + "\n".join(lines) + "\n" + notes


def latex(table: Table) -> str:
    """A `table` environment as wide as the text; needs graphicx, and UTF-8 for names."""
    align = "".join("r" if table.is_numeric(i) else "l" for i in range(len(table.columns)))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\resizebox{{\textwidth}}{{!}}{{\begin{{tabular}}{{{align}}}",
        r"\hline",
        _ampersands([latex_text(name) for name in table.columns]),
        r"\hline",
        *(_ampersands([_latex_cell(cell) for cell in row]) for row in table.rows),
        r"\hline",
        r"\end{tabular}}",
        *(rf"\par\raggedright\footnotesize {latex_text(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def html(table: Table) -> str:
    """A section with a sortable table: cells carry their value in `data-value`."""
    right = ['class="number"' if table.is_numeric(i) else "" for i in range(len(table.columns))]
    head = "".join(
        f'<th scope="col" {kind}><button>{escape(name)}</button></th>'
        for name, kind in zip(table.columns, right, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(_html_cell(cell, kind) for cell, kind in zip(row, right, strict=True))
        + "</tr>"
        for row in table.rows
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return (
        f'<section><h2>{escape(table.title)}</h2><div class="wide"><table>\n<thead><tr>{head}'
        f"</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>{notes}</section>"
    )


def terminal(table: Table) -> RichTable:
    """For rich's console."""
    shown = RichTable(
        title=table.title,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    shown.caption = "\n".join(map(escape_rich, table.notes)) or None
    for i, name in enumerate(table.columns):
        right = table.is_numeric(i)
        shown.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(_strong(c, escape_rich(c.text), "[bold]{}[/bold]".format) for c in row))
    return shown


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters made harmless."""
    return "".join(LATEX_SPECIAL.get(sign, sign) for sign in text)


def _strong(cell: Cell, text: str, bold: Callable[[str], str]) -> str:
    return bold(text) if cell.strong else text


def _markdown_cell(cell: Cell) -> str:
    return _strong(cell, _markdown_text(cell.text), "**{}**".format)


def _markdown_text(text: str) -> str:
    for sign in "\\|*_<`":
        text = text.replace(sign, f"\\{sign}")
    return text


def _latex_cell(cell: Cell) -> str:
    return _strong(cell, latex_text(cell.text), r"\textbf{{{}}}".format)


def _html_cell(cell: Cell, kind: str) -> str:
    value = "" if cell.value is None else escape(str(cell.value))
    text = _strong(cell, escape(cell.text), "<strong>{}</strong>".format)
    return f'<td {kind} data-value="{value}">{text}</td>'


def _bars(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _ampersands(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
