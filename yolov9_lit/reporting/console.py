"""The terminal: what is printed there is shown as it is written, whatever stands in a name."""

from __future__ import annotations

import io
import sys

from rich.console import Console


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that reads no markup in texts, and shows what its stream cannot as codes.

    Args:
        stderr: write there instead of to standard output.
        width: in characters; the terminal's by default.
    """
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
