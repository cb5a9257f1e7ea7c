"""A table before it has a format."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd


class Cell(NamedTuple):
    """A cell that shows something other than its plain value.

    Attributes:
        text: what is shown; empty for nothing.
        value: what a sort goes by; None comes last.
        strong: set in bold.
        title: what a page shows of it on hovering.
    """

    text: str
    value: float | str | None = None
    strong: bool = False
    title: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """One table.

    Attributes:
        title: one line.
        frame: its cells: strings, numbers (shown with one digit after the point, or none of an
            integer), None or NaN where nothing is known, and `Cell`s.
        notes: sentences below it.
    """

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return [str(name) for name in self.frame.columns]

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """As many cells in each as there are columns."""
        return list(zip(*self._cells(), strict=True))

    def numeric(self) -> list[bool]:
        """Tell for each column whether its values are numbers: it is set flush right."""
        kinds = [{type(c.value) for c in cells if c.value is not None} for cells in self._cells()]
        return [bool(kind) and str not in kind for kind in kinds]

    def select(self, columns: Container[str]) -> Table:
        """Return the table with some of its columns, in its own order."""
        return self._keep([name in columns for name in self.columns])

    def without_empty_columns(self) -> Table:
        """Return the table without the columns that show nothing."""
        return self._keep([any(cell.text for cell in cells) for cells in self._cells()])

    def _keep(self, columns: Sequence[bool]) -> Table:
        return replace(self, frame=self.frame.loc[:, list(columns)])

    def _cells(self) -> list[list[Cell]]:
        """Return the cells by column."""
        return [[_cell(v) for v in self.frame.iloc[:, i]] for i in range(len(self.columns))]


def number(value: float | None, *, digits: int) -> Cell:
    """Return a number with as many digits after the point, or an empty cell if it is not known."""
    return Cell("") if pd.isna(value) else Cell(f"{value:.{digits}f}", value)


def _cell(value: Any) -> Cell:
    if isinstance(value, Cell):
        return value
    if isinstance(value, float) or value is None:
        return number(value, digits=1)
    return Cell(value if isinstance(value, str) else f"{value:,}", value)
