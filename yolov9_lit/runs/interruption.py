"""Ctrl-C and SIGTERM: a run that is stopped tells how to continue it."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from yolov9_lit.building import quoted

BY_HAND, BY_SYSTEM = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes of a process that Ctrl-C or SIGTERM ended, as shells give them."""


@contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM end the block with exit code 143, and Ctrl-C, or any other exit, with 130."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise SystemExit(BY_SYSTEM)

    if threading.current_thread() is not threading.main_thread():  # Only that may set handlers.
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning turns Ctrl-C into code 1.
        by_system = isinstance(stop, SystemExit) and stop.code == BY_SYSTEM
        raise SystemExit(BY_SYSTEM if by_system else BY_HAND) from stop
    finally:
        signal.signal(signal.SIGTERM, before)


def command_to_go_on(folder: Path) -> str:
    """Return the training command that continues this run, as a shell takes it."""
    given = [a for a in sys.argv[1:] if not a.lstrip("+").startswith("hydra.run.dir=")]
    place = f"hydra.run.dir={folder}"  # The commands read a path as it is typed.
    arguments = [*given, place if "," not in place else f"hydra.run.dir={quoted(str(folder))}"]
    return f"python -m yolov9_lit.train {shlex.join(arguments)}"
