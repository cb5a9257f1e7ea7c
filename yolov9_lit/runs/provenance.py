"""Which code and which weights a run was made with."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any, NamedTuple


class GitState(NamedTuple):
    """Commit of the package's checkout (None outside git), and whether it has changes."""

    commit: str | None
    dirty: bool


def git_state() -> GitState:
    """Ask git."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # installed within another's?
        name = _git("describe", "--always", "--abbrev=40", "--dirty")
    except (OSError, subprocess.SubprocessError):
        return GitState(None, False)
    return GitState(name.removesuffix("-dirty"), name.endswith("-dirty"))


def file_state(path: Any) -> dict[str, str] | None:
    """Absolute "path" and "sha256" of a file; None where there is none, or no path."""
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {"path": str(Path(path).resolve()), "sha256": digest.hexdigest()}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()
