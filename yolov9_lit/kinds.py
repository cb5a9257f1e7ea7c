"""What a setting may be, told by the type that its constructor declares.

The types are Python's own; a range, or words of its own, stand beside one in `Annotated`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin


@dataclass(frozen=True)
class Limits:
    """The range of a number.

    Attributes:
        least: smallest value; None for none.
        most: largest value; None for none.
        above: whether the smallest value itself is excluded.
        step: of which it is a multiple; None for any value.
    """

    least: float | None = None
    most: float | None = None
    above: bool = False
    step: int | None = None

    def hold(self, value: Any) -> bool:
        """Return whether a number is in the range."""
        low = self.least is None or value > self.least or (value == self.least and not self.above)
        whole = self.step is None or value % self.step == 0
        return low and whole and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        words = f" above {self.least}" if self.above else f", {self.least} or more"
        if self.most is not None:
            words = f" in {self.least}..{self.most}" + f", not {self.least}" * self.above
        return words + (f", a multiple of {self.step}" if self.step else "")


@dataclass(frozen=True)
class Words:
    """What to give, where the type does not say it well enough."""

    text: str


PositiveInt = Annotated[int, Limits(1)]
Count = Annotated[int, Limits(0)]
PositiveFloat = Annotated[float, Limits(0, above=True)]
Amount = Annotated[float, Limits(0)]
Share = Annotated[float, Limits(0, 1)]
PositiveShare = Annotated[float, Limits(0, 1, above=True)]
LARGEST_SIDE = 65536
"""Pixels of an input's side: above it libraries fail, each in its own way."""
InputSide = Annotated[
    int,
    Limits(32, LARGEST_SIDE, step=32),
    Words(f"one multiple of 32 up to {LARGEST_SIDE}, such as 640, for both sides"),
]
PathText = Annotated[str, Words("a path, in quotes if it is a number")]
AnyPath = Annotated[str | Path, Words("a path, in quotes if it is a number")]
ClassNames = Annotated[Sequence[str], Words("a list of class names, such as [person,'7'],")]
OneClass = Annotated[bool | str, Words("true, false or the name of the one class")]

_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}
_PATHS = (Path, PurePath, os.PathLike)


def fits(value: Any, kind: Any) -> bool:
    """Tell whether a plain value, as YAML has it, is of a kind.

    Args:
        value: number, text, truth value, None, list or mapping, or an object. A mapping with a
            `_target_` stands for the object that will be built, of whatever class that is.
        kind: a type, as annotations have it.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        limits = [part for part in parts[1:] if isinstance(part, Limits)]
        return fits(value, parts[0]) and all(
            limit.hold(value) for limit in limits if isinstance(value, int | float)
        )
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if kind is Any or isinstance(kind, TypeVar):
        return True
    if kind is float:
        number = isinstance(value, int | float) and type(value) is not bool
        return number and abs(value) <= sys.float_info.max  # Integers may be larger than any float.
    if kind in _NAMES:
        return type(value) is kind
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    return _contains(value, origin or kind, parts)


def words(kind: Any) -> str:
    """Say what to give for a kind: "a number, 0 or more"."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        own = [part.text for part in parts[1:] if isinstance(part, Words)]
        limits = [str(part) for part in parts[1:] if isinstance(part, Limits)]
        return own[0] if own else words(parts[0]) + "".join(limits)
    if origin in (Union, UnionType, Literal):
        *others, last = dict.fromkeys(_choices(kind))
        return f"{', '.join(others)} or {last}" if others else last
    if kind in _NAMES:
        return _NAMES[kind]
    inner = origin or kind
    if _is_plain(inner, Mapping):
        return "a mapping, {name: value}"
    if _is_plain(inner, Iterable):
        told = parts and get_origin(parts[0]) in (Annotated, Literal)
        return "a list, [value,value]" + (f", each {words(parts[0])}" if told else "")
    if inner in _PATHS:
        return "a path"
    return f"a {getattr(inner, '__name__', inner)}, built by a _target_"


def shown(value: Any) -> str:
    """Write a value as a user gives it on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value or "''"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{shown(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, Collection):
        return "[" + ",".join(map(shown, value)) + "]"
    return str(value)


def _contains(value: Any, kind: Any, parts: tuple[Any, ...]) -> bool:
    """Tell whether a value is a container of a kind, or an object of that class."""
    if _is_plain(kind, Mapping):
        inner = parts[1] if len(parts) == 2 else Any
        return isinstance(value, Mapping) and all(fits(one, inner) for one in value.values())
    if kind in _PATHS:
        return isinstance(value, str | PurePath)
    if not _is_plain(kind, Iterable):
        return not isinstance(kind, type) or (not _is_protocol(kind) and isinstance(value, kind))
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    if kind is tuple and parts and Ellipsis not in parts:
        return len(value) == len(parts) and all(map(fits, value, parts))
    return all(fits(one, (*parts, Any)[0]) for one in value)


def _is_protocol(kind: type) -> bool:
    """Tell whether a kind is only described: no plain value is of it."""
    return getattr(kind, "_is_protocol", False)


def _is_plain(kind: Any, parent: Any) -> bool:
    """Tell whether a kind is one of Python's own containers, as tensors and modules are not."""
    own = getattr(kind, "__module__", "") in ("builtins", "collections.abc")
    return own and isinstance(kind, type) and issubclass(kind, parent) and kind is not str


def _choices(kind: Any) -> list[str]:
    """Say each thing that may be given for a kind, null last."""
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return [shown(part) for part in parts]
    if get_origin(kind) in (Union, UnionType):
        ordered = sorted(parts, key=lambda part: part is NoneType)
        return [choice for part in ordered for choice in _choices(part)]
    return [words(kind)]
