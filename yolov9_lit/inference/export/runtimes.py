"""Packages that only exported files need."""

from __future__ import annotations

import importlib
from typing import Any

from yolov9_lit.errors import UserError


def runtime(name: str) -> Any:
    """Import one.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"This needs {name.partition('.')[0]}, which is not installed: "
            "pip install -e '.[export]'."
        ) from error


def reason(error: Exception) -> str:
    """What a runtime says went wrong, in one line: OpenVINO says it last, torch before advice."""
    said = str(error).partition("This is an internal miniz error")[0]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].rstrip(".! ") if lines else type(error).__name__
