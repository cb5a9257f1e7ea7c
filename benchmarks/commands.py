"""Commands in interpreters of their own, and how long their user waits."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers import QUIET
from yolov9_lit.errors import UserError, one_line

FIRST_STEP = "The first step is done."
"""What a measured training writes to its output after its first step."""

_CHECKOUT = Path(__file__).resolve().parents[1]


def run(command: Sequence[str], folder: Path, until: str | None = None) -> float:
    """Run a command; return the seconds from its start to its end, or to a line of its output.

    Args:
        command: interpreter and arguments.
        folder: to run it in.
        until: in the line, at which the command is killed with all that it has started.

    Raises:
        UserError: it failed, or ended without the line.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        with process:
            try:
                assert process.stdout is not None
                found = any(until is not None and until in line for line in process.stdout)
                if not found:
                    process.wait()
                seconds = time.perf_counter() - start
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if not found and (process.returncode or until is not None):
            errors.seek(0)
            *_, last = ["it ended early", *filter(str.strip, errors)]
            raise UserError(f"{' '.join(command)} cannot be measured: {one_line(last.strip())}")
    return seconds


def _environment() -> dict[str, str]:
    """Let commands find this checkout from any folder, and Ultralytics fetch nothing."""
    paths = filter(None, (str(_CHECKOUT), os.environ.get("PYTHONPATH")))
    return {**QUIET, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
