"""One table in every format: any text, empty tables, columns of one name."""

import io
import re
import sys

import pandas as pd
import pytest

from yolov9_lit.reporting.console import console
from yolov9_lit.reporting.render import html, latex, markdown, terminal
from yolov9_lit.reporting.table import Cell, Table, number

HOSTILE = r"<b>*a_b*</b> | \$x & 50% #1 [bold] `c` {d} ~ ^ † [/b] :smile: 汽车 الطريق"


@pytest.fixture
def table():
    rows = [
        ("csp", 1234567, 0.25, Cell("+1.0 (a)", 1.0, strong=True), None),
        (HOSTILE, 2, None, Cell("?"), "why"),
    ]
    columns = ("name", "count", "share", "difference", "name")
    return Table("A title", pd.DataFrame(rows, columns=columns), (HOSTILE,))


def test_cells_have_a_text_and_a_value_to_sort_by(table):
    first, second = table.rows
    assert [cell.text for cell in first] == ["csp", "1,234,567", "0.2", "+1.0 (a)", ""]
    assert [cell.value for cell in first] == ["csp", 1234567, 0.25, 1.0, None]
    assert [cell.value for cell in second] == [HOSTILE, 2, None, None, "why"]
    assert table.numeric() == [False, True, True, True, False]


def test_columns_are_selected_and_empty_ones_left_out(table):
    assert table.select(("difference", "count")).columns == ["count", "difference"]
    assert table.without_empty_columns().columns == table.columns
    table.frame["nothing"] = [number(None, digits=1)] * 2
    assert "nothing" not in table.without_empty_columns().columns


def test_any_text_is_harmless_in_every_format(table):
    lines = markdown(table).splitlines()
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")}
    assert bars == {6}
    assert "**+1.0 (a)**" in lines[4]
    assert "<b>" not in html(table)
    assert 'data-value="1234567">1,234,567<' in html(table)
    assert not re.search(r"(?<!\\)[_%#]", latex(table))
    assert HOSTILE in shown(terminal(table))


def shown(thing):
    out = console(width=200)
    with out.capture() as capture:
        out.print(thing)
    return capture.get()


@pytest.mark.parametrize("name", [HOSTILE, "a\nb", "\x1b[31mred", "\udcff", "$\\frac$", ""])
def test_titles_columns_and_notes_hold_any_name(name):
    table = Table(name, pd.DataFrame([(name, 1), ("b", 2)], columns=["x", name]), (name,))
    texts = [form(table) for form in (markdown, latex, html)] + [shown(terminal(table))]
    for text in texts:
        text.encode()  # no half of a surrogate pair
        assert "\x1b[31m" not in text
    body = [line for line in texts[0].splitlines() if line.startswith("|")]
    assert len(body) == 4
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in body)
    assert texts[1].count(r"\\") == 3, "a name breaks no line of LaTeX"


def test_a_console_reads_no_markup(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    console(width=200).print(f"The page is {HOSTILE}")
    sys.stdout.flush()
    told = raw.getvalue().decode("latin-1")
    assert "[bold] `c` {d} ~ ^" in told
    assert r"[/b] :smile: \u6c7d" in told


def test_a_table_without_rows_keeps_its_columns():
    empty = Table("None", pd.DataFrame([], columns=["a", "b"]))
    assert empty.rows == []
    assert markdown(empty).splitlines()[2] == "| a | b |"
    assert "a & b" in latex(empty)
    assert html(empty).count("<th ") == 2
    assert len(terminal(empty).columns) == 2
