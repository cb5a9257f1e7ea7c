"""Which code a run was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class GitState(NamedTuple):
    """Commit of the package's checkout (None outside git), and whether it has changes."""

    commit: str | None
    dirty: bool


def git_state() -> GitState:
    """Ask git."""
    folder = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return GitState(None, False)
    name = done.stdout.strip()
    return GitState(name.removesuffix("-dirty"), name.endswith("-dirty"))
