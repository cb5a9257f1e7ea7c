"""Errors a user can cause: one sentence that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import dropwhile
from textwrap import shorten

MISTAKE = 2
"""Exit code of a command where the user can mend what is wrong."""

LONGEST = 500
"""Characters of an error in a table."""


class UserError(Exception):
    """A mistake in the user's input; the commands print its sentence and exit with code 2.

    Its arguments are the sentence and, where there is a list, an item a line.
    """

    def __str__(self) -> str:
        return "\n  ".join(one_line(str(line)) for line in self.args)


def one_line(text: str) -> str:
    """Return text with escapes for line breaks and whatever else a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names for a sentence: "a, b, c, ..."."""
    return one_line(", ".join(names[:most])) + (", ..." if len(names) > most else "")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 box", "2,000 boxes"."""
    ending = "" if count == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{count:,} {noun}{ending}"


def error_line(text: str | None) -> str:
    """Return in one line what a traceback says went wrong, a mistake's sentence alone; "" of none.

    A message may go on over several lines, which are joined: its last one alone may say nothing.
    """
    lines = (text or "").strip().splitlines()
    if lines and lines[0].startswith("Traceback"):
        last = max(i for i, line in enumerate(lines) if i == 0 or line.startswith("  File "))
        # A frame's source, and marks below it, stand in from the left.
        lines = list(dropwhile(lambda line: line[:1] in " ", lines[last + 1 :]))
    name = f"{UserError.__module__}.{UserError.__qualname__}: "
    return shorten(" ".join(lines).removeprefix(name), LONGEST, placeholder=" ...")
