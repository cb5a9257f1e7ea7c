"""A table as Markdown, LaTeX, HTML and on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    """Return a table with its title as a heading and its notes."""
    lines = [
        table.columns,
        ["---:" if right else "---" for right in table.numeric()],
        *([_shown(cell, _markdown_text, "**{}**") for cell in row] for row in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"\n{_markdown_text(note)}\n" for note in table.notes)
    return f"## {table.title}\n\n{body}\n{notes}"


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
        f'<th scope="col" {kind}><button>{escape(name)}</button></th>'
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(map(_html_cell, row, kinds))}</tr>" for row in table.rows)
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return (
        f'<section><h2>{escape(table.title)}</h2><div class="wide"><table>\n<thead><tr>{head}'
        f"</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>{notes}</section>"
    )


def terminal(table: Table) -> RichTable:
    """Return a table for rich's console."""
    shown = RichTable(
        title=table.title,
        title_justify="left",
        caption="\n".join(map(escape_rich, table.notes)) or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name, right in zip(table.columns, table.numeric(), strict=True):
        shown.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(_shown(cell, escape_rich, "[bold]{}[/bold]") for cell in row))
    return shown


def _shown(cell: Cell, escaped: Callable[[str], str], bold: str) -> str:
    text = escaped(cell.text)
    return bold.format(text) if cell.strong else text


def _html_cell(cell: Cell, kind: str) -> str:
    value = "" if cell.value is None else escape(str(cell.value))
    return f'<td {kind} data-value="{value}">{_shown(cell, escape, "<strong>{}</strong>")}</td>'


def _markdown_text(text: str) -> str:
    for sign in "\\|*_<`":
        text = text.replace(sign, f"\\{sign}")
    return text


def _latex_text(text: str) -> str:
    return "".join(LATEX_SPECIAL.get(sign, sign) for sign in text)


def _ampersands(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
