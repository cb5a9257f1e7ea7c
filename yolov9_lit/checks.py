"""Values held against what they must be, before anything is done with them."""

from __future__ import annotations

from typing import Any

from yolov9_lit.errors import UserError


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
