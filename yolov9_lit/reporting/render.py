"""A table as Markdown, LaTeX, HTML and on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape as escape_html
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from yolov9_lit.reporting.lettering import on_one_line
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
    """Return a table with its title as a heading and its notes."""
    lines = [
        [*map(_markdown_text, table.columns)],
        ["---:" if right else "---" for right in table.numeric()],
        *([_shown(cell, _markdown_text, "**{}**") for cell in row] for row in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"\n{_markdown_text(note)}\n" for note in table.notes)
    return f"## {_markdown_text(table.title)}\n\n{body}\n{notes}"


def latex(table: Table) -> str:
    """Return a `table` environment as wide as the text; needs graphicx, and UTF-8 for names."""
    align = "".join("r" if right else "l" for right in table.numeric())
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex_text(table.title)}}}",
        rf"\resizebox{{\textwidth}}{{!}}{{\begin{{tabular}}{{{align}}}",
        r"\hline",
        _ampersands(map(_latex_text, table.columns)),
        r"\hline",
        *(
            _ampersands(_shown(cell, _latex_text, r"\textbf{{{}}}") for cell in row)
            for row in table.rows
        ),
        r"\hline",
        r"\end{tabular}}",
        *(rf"\par\raggedright\footnotesize {_latex_text(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def html(table: Table) -> str:
    """Return a section with a sortable table: cells carry their value in `data-value`."""
    kinds = ['class="number"' if right else "" for right in table.numeric()]
    head = "".join(
        f'<th scope="col" {kind}><button>{_html_text(name)}</button></th>'
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(map(_html_cell, row, kinds))}</tr>" for row in table.rows)
    notes = "".join(f"<p>{_html_text(note)}</p>" for note in table.notes)
    return (
        f'<section><h2>{_html_text(table.title)}</h2><div class="wide"><table>\n<thead><tr>{head}'
        f"</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>{notes}</section>"
    )


def terminal(table: Table) -> RichTable:
    """Return a table for rich's console."""
    notes = "\n".join(map(on_one_line, table.notes))
    shown = RichTable(
        title=Text(on_one_line(table.title)),
        title_justify="left",
        caption=Text(notes) if notes else None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name, right in zip(table.columns, table.numeric(), strict=True):
        justify: Literal["right", "left"] = "right" if right else "left"
        shown.add_column(Text(on_one_line(name)), justify=justify, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(on_one_line(c.text), "bold" if c.strong else "") for c in row))
    return shown


def _shown(cell: Cell, escaped: Callable[[str], str], bold: str) -> str:
    text = escaped(cell.text)
    return bold.format(text) if cell.strong else text


def _html_cell(cell: Cell, kind: str) -> str:
    value = "" if cell.value is None else _html_text(str(cell.value))
    title = f' title="{_html_text(cell.title)}"' if cell.title else ""
    shown = _shown(cell, _html_text, "<strong>{}</strong>")
    return f'<td {kind}{title} data-value="{value}">{shown}</td>'


def _html_text(text: str) -> str:
    return escape_html(on_one_line(text))


def _markdown_text(text: str) -> str:
    text = on_one_line(text)
    for sign in "\\|*_<`[]$":
        text = text.replace(sign, f"\\{sign}")
    return text


def _latex_text(text: str) -> str:
    return "".join(LATEX_SPECIAL.get(sign, sign) for sign in on_one_line(text))


def _ampersands(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
