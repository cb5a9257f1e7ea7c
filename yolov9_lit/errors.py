"""Errors a user can cause: one sentence that says what, where and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import dropwhile
from textwrap import shorten

MISTAKE = 2
"""Exit code of a command where the user can mend what is wrong."""

LONGEST = 500
"""Characters of an error in a table."""


_IN_WORKER = re.compile(
    r"Caught \w+ in DataLoader worker process \d+\.\nOriginal .*\n\S*Error: ", re.DOTALL
)
"""What torch puts before the sentence of an error that a worker of a loader raised."""


class UserError(Exception):
    """A mistake in the user's input; the commands print its sentence and exit with code 2.

    Its arguments are the sentence and, where there is a list, an item a line.
    """

    def __init__(self, *lines: object) -> None:
        """Set the lines; of what torch makes of a worker's error, those that were raised."""
        if lines and (found := _IN_WORKER.match(text := str(lines[0]))):
            lines = tuple(text[found.end() :].rstrip().split("\n  "))
        super().__init__(*lines)

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


_SINGULAR = {
    **{"are": "is", "have": "has", "reach": "reaches", "their": "its", "they": "it", "each": "it"},
    **{verb: f"{verb}s" for verb in ("differ", "end", "equal", "lack", "lead", "lie")},
    **{verb: f"{verb}s" for verb in ("repeat", "seem", "share")},
}
"""Words that agree with the subject of a sentence, of many and of one."""


def told(count: int, sentence: str) -> str:
    """Return a sentence behind its count: "2,000 images are missing", "1 image is missing".

    Args:
        count: of the subject.
        sentence: of many.
    """
    return f"{count:,} {in_number(count, sentence)}"


def in_number(count: int, sentence: str) -> str:
    """Return a sentence of many as one of `count`: "images are missing" of 1 "image is missing".

    The first word that ends in s is the subject; `_SINGULAR` has the words that agree with it.
    """
    if count != 1:
        return sentence
    sentence = re.sub(
        r"(?:(ie)|(?<=[sx])(e))?(?<!s)s\b", lambda m: "y" if m[1] else "", sentence, count=1
    )
    return re.sub(r"\w+", lambda word: _SINGULAR.get(word[0], word[0]), sentence)


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
