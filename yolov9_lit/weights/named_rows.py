"""Outputs whose rows belong to something that has a name: a class, a keypoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from yolov9_lit.errors import counted, first_few
from yolov9_lit.models.head import Head


@dataclass(frozen=True)
class NamedRows:
    """The rows of a model's outputs and those of a file's.

    Attributes:
        what: has the names.
        ours: names in the model.
        theirs: names in the file.
        tensors: names of the model's tensors that have such rows.
        each: rows of a name.
    """

    what: str
    ours: Sequence[str]
    theirs: Sequence[str]
    tensors: frozenset[str]
    each: int = 1

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Return the rows that both have, the model's first."""
        places = {name: row for row, name in enumerate(self.theirs)}
        return [
            (self.each * row + i, self.each * places[name] + i)
            for row, name in enumerate(self.ours)
            if name in places
            for i in range(self.each)
        ]

    def line(self) -> str:
        """Say how many names both have."""
        fresh = [name for name in self.ours if name not in self.theirs]
        which = f" ({first_few(fresh, 5)})" if fresh else ""
        return (
            f"{self.what} outputs, by name: {counted(len(self.ours) - len(fresh), self.what)} "
            f"taken, {len(fresh)} start fresh{which}"
        )


def class_rows(detector: nn.Module, ours: Sequence[str], theirs: Sequence[str]) -> NamedRows:
    """Return the rows of class scores: one of each name."""
    return NamedRows("class", ours, theirs, _outputs(detector, "cls"))


def keypoint_rows(detector: nn.Module, ours: Sequence[str], theirs: Sequence[str]) -> NamedRows:
    """Return the rows of keypoints: x, y and visibility of each name."""
    return NamedRows("keypoint", ours, theirs, _outputs(detector, "keypoints"), each=3)


def _outputs(detector: nn.Module, branch: str) -> frozenset[str]:
    """Names of the last convolutions' tensors of a branch of the heads."""
    return frozenset(
        f"{path}.{branch}.{level}.2.{kind}"
        for path, head in detector.named_modules()
        if isinstance(head, Head)
        for level in range(len(getattr(head, branch, ())))
        for kind in ("weight", "bias")
    )
