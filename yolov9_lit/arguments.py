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


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """A value that must be a whole number, so large at least.

    Raises:
        UserError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{name}={value} does not do: give a whole number, {least} or more.")
    return value


def yes_or_no(name: str, value: Any) -> bool:
    """A value that must be true or false.

    Raises:
        UserError: it is neither.
    """
    if not isinstance(value, bool):
        raise UserError(f"{name}={value} does not do: give true or false.")
    return value
