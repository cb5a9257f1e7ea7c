"""Errors a user can cause: one sentence that says what, where and what to do."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the user's input; the commands print its sentence and exit with code 2."""


def last_line(text: str | None) -> str:
    """The last line of a traceback: the error itself; empty where there is none."""
    return (text or "").strip().rsplit("\n", 1)[-1].strip()
