"""Outputs whose rows belong to something that has a name: a class, a keypoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from yolov9_lit.errors import counted, first_few
from yolov9_lit.models.anchor_head import BOX, AnchorHead
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
        before: rows before those of names, which have none.
        groups: how many times all of these rows follow each other.
    """

    what: str
    ours: Sequence[str]
    theirs: Sequence[str]
    tensors: frozenset[str]
    each: int = 1
    before: int = 0
    groups: int = 1

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Return the rows that both have, the model's first."""
        places = {name: row for row, name in enumerate(self.theirs)}
        named = [
            (self.before + self.each * row + i, self.before + self.each * places[name] + i)
            for row, name in enumerate(self.ours)
            if name in places
            for i in range(self.each)
        ]
        pairs = [*((row, row) for row in range(self.before)), *named]
        ours, theirs = (self.before + self.each * len(n) for n in (self.ours, self.theirs))
        return [(g * ours + a, g * theirs + b) for g in range(self.groups) for a, b in pairs]

    @property
    def file_rows(self) -> int:
        """Rows of a tensor in the file."""
        return self.groups * (self.before + self.each * len(self.theirs))

    def line(self) -> str:
        """Say how many names both have."""
        fresh = [name for name in self.ours if name not in self.theirs]
        which = f" ({first_few(fresh, 5)})" if fresh else ""
        return (
            f"{self.what} outputs, by name: {counted(len(self.ours) - len(fresh), self.what)} "
            f"taken, {len(fresh)} start fresh{which}"
        )


def class_rows(detector: nn.Module, ours: Sequence[str], theirs: Sequence[str]) -> NamedRows:
    """Return the rows of class scores: one of each name, of each of a cell's anchors."""
    heads = {p: m for p, m in detector.named_modules() if isinstance(m, AnchorHead)}
    if heads:
        tensors = frozenset(
            f"{path}.levels.{level}.conv.{kind}"
            for path, head in heads.items()
            for level in range(len(head.levels))
            for kind in ("weight", "bias")
        )
        groups = next(iter(heads.values())).sizes.shape[1]
        return NamedRows("class", ours, theirs, tensors, before=BOX, groups=groups)
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
