"""What is wrong with a data set: collected while it is read, told once, never dropped silently."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from yolov9_lit.errors import UserError
from yolov9_lit.ranks import is_first_rank

log = logging.getLogger(__name__)

_EXAMPLES = 3


@cache
def warn_once(message: str) -> None:
    """Warn, of each message but once in this process."""
    log.warning(message)


class Problem(NamedTuple):
    """One fault.

    Attributes:
        kind: what is wrong and what is done about it, without the item: "boxes without area are
            left out", "images cannot be read and are skipped".
        where: the item: "annotation 17", "images/a.jpg".
        image: name of the image it belongs to; empty for none.
        box: x, y, width and height in pixels as they were given; None where it is no box's fault.
        split: that it was found in; empty where a source has but one.
    """

    kind: str
    where: str
    image: str = ""
    box: tuple[float, float, float, float] | None = None
    split: str = ""


class Problems:
    """The faults of one data set.

    Attributes:
        source: the file or folder they were found in.
        found: in the order they were found.
        notes: what is no fault, but worth knowing; told in the log, never an error.
        split: that is read now, noted with each fault.
    """

    def __init__(self, source: str | Path) -> None:
        """Begin with none."""
        self.source = source
        self.found: list[Problem] = []
        self.notes: Counter[str] = Counter()
        self.split = ""

    def add(
        self,
        kind: str,
        where: str,
        image: str = "",
        box: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Add a fault; see `Problem`."""
        self.found.append(Problem(kind, where, image, box, self.split))

    def by_kind(self) -> dict[str, list[Problem]]:
        """The faults of each kind, in the order they were found."""
        kinds: dict[str, list[Problem]] = defaultdict(list)
        for problem in self.found:
            kinds[problem.kind].append(problem)
        return dict(kinds)

    def counts(self) -> dict[str, int]:
        """How many faults and notes there are of each kind."""
        return {kind: len(items) for kind, items in self.by_kind().items()} | self.notes

    def raise_or_warn(self, *, strict: bool) -> None:
        """Warn once of each kind, with its count and the first items; of all ranks the first does.

        Raises:
            UserError: `strict`, and there is a fault; it lists all of them.
        """
        if strict and self.found:
            lines = "".join(f"\n  {problem.where}: {problem.kind}" for problem in self.found)
            raise UserError(
                f"{self.source} has {len(self.found):,} faults, and strict=true was given; mend "
                f"them or leave it out:{lines}"
            )
        if is_first_rank():
            self._tell()

    def _tell(self) -> None:
        for kind, items in self.by_kind().items():
            examples = ", ".join(problem.where for problem in items[:_EXAMPLES])
            more = ", ..." if len(items) > _EXAMPLES else ""
            log.warning("%s: %s %s (%s%s)", self.source, f"{len(items):,}", kind, examples, more)
        for kind, count in self.notes.items():
            log.info("%s: %s %s", self.source, f"{count:,}", kind)
