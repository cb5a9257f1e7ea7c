"""Errors a user can cause: one sentence that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """A mistake in the user's input; the commands print its sentence and exit with code 2."""


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names for a sentence: "a, b, c, ..."."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def last_line(text: str | None) -> str:
    """Return the last line of a traceback, which is the error itself; "" of no text."""
    return (text or "").strip().rsplit("\n", 1)[-1].strip()
