"""Checks of single values that no constructor's annotations tell; `building.check` has the rest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_type_hints

from yolov9_lit.errors import UserError
from yolov9_lit.kinds import Limits, fits, shown, words


def check_fields(settings: Any, group: str = "") -> None:
    """Compare a dataclass's values with its annotations, as its `__post_init__`.

    Args:
        settings: the dataclass.
        group: what users write before the names of its fields: "data.".

    Raises:
        UserError: the first value that is not of its kind.
    """
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        if not fits(value, kind):
            raise UserError(f"{group}{name}={shown(value)} is not valid: give {words(kind)}.")


def whole_number(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return a value that is a whole number of at least `least` and at most `most`.

    Raises:
        UserError: it is anything else.
    """
    limits = Limits(least, most)
    if not isinstance(value, int) or isinstance(value, bool) or not limits.hold(value):
        raise UserError(f"{name}={value} is not valid: give a whole number{limits}.")
    return value


def yes_or_no(name: str, value: Any) -> bool:
    """Return a value that is true or false.

    Raises:
        UserError: it is anything else.
    """
    if not isinstance(value, bool):
        raise UserError(f"{name}={value} is not valid: give true or false.")
    return value


def whole_number_text(name: str, text: str, least: int = 1) -> int:
    """Return the whole number of at least `least` that a text of the command line is.

    Raises:
        UserError: it is anything else.
    """
    return whole_number(name, int(text) if text.isascii() and text.isdecimal() else text, least)


def number_text(name: str, text: str, limits: Limits) -> float:
    """Return the number in limits that a text of the command line is.

    Raises:
        UserError: it is anything else.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and limits.hold(number)):
        raise UserError(f"{name}={text} is not valid: give a number{limits}.")
    return number


def yes_or_no_text(name: str, text: str) -> bool:
    """Return what a text of the command line is, true or false.

    Raises:
        UserError: it is neither.
    """
    return yes_or_no(name, {"true": True, "false": False}.get(text.lower(), text))


def path_argument(name: str, value: Any) -> Path:
    """Return a value that is the path of a file or a folder.

    Raises:
        UserError: it is a list, a number or empty.
    """
    if not isinstance(value, str | Path) or not str(value).strip():
        raise UserError(f"{name}={value} is not a path: give one, in quotes if it is a number.")
    return Path(value)


def existing_folder(key: str, folder: Path, hint: str = "") -> Path:
    """Return a folder of data that is there.

    Args:
        key: that it was given under.
        folder: what was given.
        hint: what to do where there is no such folder.

    Raises:
        UserError: there is none, or it is a file.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file: give its folder, {key}={folder.parent}.")
    if not folder.is_dir():
        raise UserError(f"There is no data folder {folder}: {hint or f'give {key}=DIR.'}")
    return folder


def new_folder(key: str, folder: Path) -> Path:
    """Return a folder that is not there yet, or empty.

    Args:
        key: that it was given under.
        folder: what was given.

    Raises:
        UserError: it holds something, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty: delete it or choose another {key}.")
    return folder


def folder_argument(name: str, value: Any) -> Path:
    """Return a folder to write to, made if it does not exist.

    Raises:
        UserError: it is not a path, or cannot be made.
    """
    folder = path_argument(name, value)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{name}={folder} cannot be made ({error.strerror}): give another folder."
        ) from error
    return folder
