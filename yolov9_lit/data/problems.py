"""What is wrong with a data set: collected while it is read, told once, never dropped silently."""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)

_EXAMPLES = 3


class Problem(NamedTuple):
    """One fault.

    Attributes:
        kind: what is wrong and what is done about it, without the item: "boxes without area are
            left out", "pictures cannot be read and are skipped".
        where: the item: "annotation 17", "images/a.jpg".
    """

    kind: str
    where: str


class Problems:
    """The faults of one data set.

    Attributes:
        source: the file or folder they were found in.
        found: in the order they were found.
    """

    def __init__(self, source: str | Path) -> None:
        """Begin with none."""
        self.source = source
        self.found: list[Problem] = []

    def add(self, kind: str, where: str) -> None:
        """Note a fault."""
        self.found.append(Problem(kind, where))

    def by_kind(self) -> dict[str, list[str]]:
        """The items of each kind, in the order they were found."""
        kinds: dict[str, list[str]] = defaultdict(list)
        for problem in self.found:
            kinds[problem.kind].append(problem.where)
        return dict(kinds)

    def settle(self, *, strict: bool) -> None:
        """Warn once of each kind, with its count and the first items.

        Raises:
            UserError: `strict`, and there is a fault; it lists all of them.
        """
        if strict and self.found:
            lines = "".join(f"\n  {where}: {kind}" for kind, where in self.found)
            raise UserError(
                f"{self.source} has {len(self.found):,} faults and data.strict=true; mend them or "
                f"leave data.strict out:{lines}"
            )
        for kind, items in self.by_kind().items():
            examples = ", ".join(items[:_EXAMPLES]) + (", ..." if len(items) > _EXAMPLES else "")
            log.warning("%s: %s %s (%s)", self.source, f"{len(items):,}", kind, examples)
