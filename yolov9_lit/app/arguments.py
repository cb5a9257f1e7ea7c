"""The command line as a user types it, in the words of Hydra's grammar of overrides."""

from __future__ import annotations

import re
from collections.abc import Collection

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException

from yolov9_lit.app.configs import for_hydra
from yolov9_lit.building import quoted

_KEY = re.compile(r"[+~]*[\w.@/]+", re.ASCII)
_TEXT = re.compile(
    r"(^|[._])(root|ckpt|path|source|src|out|runs|dir|dirpath|directory|folder|published|sweep|study"
    r"|(train|val|test)_(images|annotations))$"
)
"""Keys whose values are names or paths, even if they look like numbers."""


def readable(argument: str, lists: Collection[str] = ()) -> str:
    """Rewrite an argument so that Hydra reads it as the user means it.

    Args:
        argument: one of the command line.
        lists: keys whose several values, `ckpt=A,B` or `ckpt=[A,B]`, are a list; of others the
            first make a sweep, and the second are a name.

    Text that Hydra cannot read is quoted, and so is the number, truth value or list that it would
    make of a name or a path: `data.root=2024_01_05`, `ckpt=epoch=3.ckpt`. Options of groups are
    read by `configs.for_hydra`.
    """
    key, equals, value = argument.partition("=")
    if not equals or not _KEY.fullmatch(key):
        return argument
    if (read := for_hydra(argument)) != argument:
        return read
    if key in lists and "," in value and not value.startswith(("[", "'", '"')):
        return f"{key}=[{','.join(map(quoted, value.split(',')))}]"
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return f"{key}={quoted(value)}"
    given = override.value()
    as_it_is = (
        given is None
        or isinstance(given, str | QuotedString)
        or (key in lists and isinstance(given, list))
        or override.is_sweep_override()
    )
    return argument if as_it_is or not _TEXT.search(key) else f"{key}={quoted(value)}"
