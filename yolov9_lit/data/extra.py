"""Further numbers of objects, for tasks of one's own: read as they are, kept by all transforms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yolov9_lit.checks import check_fields
from yolov9_lit.errors import UserError

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class ExtraFields:
    """Which fields of a COCO-format file's annotations are read, each a number.

    Attributes:
        names: of the fields, in the order of the numbers.
    """

    names: Sequence[str]

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_fields(self, "data.extra.")

    def flipped(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Return what numbers become in a mirrored image; a subclass may change them.

        Nothing else that moves pixels changes them: where scaling or turning the image would, leave
        such a transform out of `augment`.

        Args:
            values: (M, E) float32, of M objects.
            axis: 0 where left and right change places, 1 where top and bottom do.

        Returns:
            (M, E) float32.
        """
        return values

    def read(self, entries: Iterable[Mapping[str, Any]], source: Path) -> np.ndarray:
        """Return the numbers (M, E) float32 of M annotations; zeros for regions of crowds.

        Args:
            entries: of the annotations, as in the file.
            source: the file, for the message.

        Raises:
            UserError: one has no such field, or no finite number in it.
        """
        rows, lacking = [], []
        for entry in entries:
            crowd = entry.get("iscrowd") == 1
            given = {name: 0.0 if crowd else entry.get(name) for name in self.names}
            lacking += [(name, entry) for name, value in given.items() if not _fits(value)]
            rows.append([*given.values()])
        if lacking:
            name, entry = lacking[0]
            others = sum(one == name for one, _ in lacking)
            raise UserError(
                f"{source} has {others:,} of {len(rows):,} annotations without a finite number "
                f'"{name}", which data.extra.names asks for, the first of id {entry.get("id")}: '
                "add it to them, or take them out."
            )
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(self.names))


def _fits(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= _LARGEST


@dataclass(frozen=True, eq=False)
class Extra:
    """The numbers of M objects.

    Attributes:
        values: (M, E) float32; E is 0 where there are none.
        fields: which they are, None where there are none.
    """

    values: np.ndarray
    fields: ExtraFields | None

    @classmethod
    def none(cls, objects: int) -> Extra:
        """Return those of objects that have none."""
        return cls(np.zeros((objects, 0), np.float32), None)

    @classmethod
    def joined(cls, parts: Sequence[Extra]) -> Extra:
        """Join the objects of all parts, one part after the other."""
        return Extra(np.concatenate([part.values for part in parts]), parts[0].fields)

    def take(self, rows: np.ndarray | slice) -> Extra:
        """Return the objects `rows`: a slice, indices, or a mask over all."""
        return Extra(self.values[rows], self.fields)

    def flipped(self, axis: int) -> Extra:
        """Mirror the image along x (axis 0) or y (axis 1)."""
        return self if self.fields is None else Extra(self._flipped(self.fields, axis), self.fields)

    def _flipped(self, fields: ExtraFields, axis: int) -> np.ndarray:
        values = np.asarray(fields.flipped(self.values.copy(), axis), dtype=np.float32)
        if values.shape != self.values.shape:
            raise UserError(
                f"{type(fields).__name__}.flipped returns shape {values.shape} of numbers of shape "
                f"{self.values.shape}: return as many."
            )
        return values
