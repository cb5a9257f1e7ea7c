"""A command's values, held against what they must be before anything is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolov9_lit.errors import UserError


def path_argument(name: str, value: Any) -> Path:
    """A value that must be the path of a file or a folder.

    Raises:
        UserError: it is none: a list, a number, nothing.
    """
    if not isinstance(value, str | Path) or not str(value).strip():
        raise UserError(f"{name}={value} is no path: give one, in quotes if it is a number.")
    return Path(value)


def folder_argument(name: str, value: Any) -> Path:
    """A folder to write to, made where it is not there.

    Raises:
        UserError: it is no path, or cannot be made.
    """
    folder = path_argument(name, value)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{name}={folder} cannot be made ({error.strerror}): give another folder."
        ) from error
    return folder
