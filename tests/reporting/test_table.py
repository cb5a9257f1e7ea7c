"""One table in every format: any text, empty tables, columns of one name."""

import re

import pandas as pd
import pytest
from rich.console import Console

from yolov9_lit.reporting.render import html, latex, markdown, terminal
from yolov9_lit.reporting.table import Cell, Table, number

HOSTILE = r"<b>*a_b*</b> | \$x & 50% #1 [bold] `c` {d} ~ ^ †"


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
    console = Console(width=200)
    with console.capture() as capture:
        console.print(terminal(table))
    assert HOSTILE in capture.get()


def test_a_table_without_rows_keeps_its_columns():
    empty = Table("None", pd.DataFrame([], columns=["a", "b"]))
    assert empty.rows == []
    assert markdown(empty).splitlines()[2] == "| a | b |"
    assert "a & b" in latex(empty)
    assert html(empty).count("<th ") == 2
    assert len(terminal(empty).columns) == 2
