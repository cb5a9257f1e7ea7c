"""A table before it has a format."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: what is shown; empty for nothing.
        value: what a sort goes by; None comes last.
        strong: set in bold.
    """

    text: str
    value: float | str | None = None
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: one line.
        columns: their names.
        rows: as many cells each as there are columns.
        notes: sentences below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def select(self, columns: Iterable[str]) -> Table:
        """Some columns, in the order of this table."""
        wanted = set(columns)
        kept = [i for i, name in enumerate(self.columns) if name in wanted]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return Table(self.title, tuple(self.columns[i] for i in kept), rows, self.notes)

    def is_numeric(self, column: int) -> bool:
        """Whether a column's values are numbers: it is set flush right."""
        values = [row[column].value for row in self.rows]
        return any(isinstance(v, float | int) for v in values) and not any(
            isinstance(v, str) for v in values
        )


def number(value: float | None, *, digits: int = 1, scale: float = 1.0) -> Cell:
    """A number, or an empty cell where it is not known."""
    if value is None or math.isnan(value):
        return Cell("")
    return Cell(f"{value * scale:.{digits}f}", value * scale)
