"""Commands on data sets: `python -m yolov9_lit.data COMMAND key=value ...`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from yaml import YAMLError

from yolov9_lit.data.formats import convert_voc, convert_yolo
from yolov9_lit.data.shards.command import NEEDED, OPTIONAL, shard
from yolov9_lit.errors import UserError

_PROGRAM = "python -m yolov9_lit.data"


class Command(NamedTuple):
    """A command.

    Attributes:
        summary: what it does.
        keys: an example value for each key that it needs.
        run: the code behind it, given the values; returns the exit code, None for 0.
        optional: an example value for each key that may be left out.
    """

    summary: str
    keys: Mapping[str, str]
    run: Callable[[Mapping[str, str]], int | None]
    optional: Mapping[str, str] = MappingProxyType({})


def convert(values: Mapping[str, str]) -> None:
    """Converts a data set to COCO format and prints a row for each split.

    Raises:
        UserError: the format is unknown, or the data set cannot be converted.
    """
    converters = {"voc": convert_voc, "yolo": convert_yolo}
    if values["format"] not in converters:
        raise UserError(f"format {values['format']} is unknown; choose voc or yolo")
    reports = converters[values["format"]](Path(values["src"]), Path(values["out"]))
    table = Table("split", "images", "boxes", "left out (no area)", title=values["out"])
    for report in reports:
        left_out = f"{len(report.left_out)} {' '.join(report.left_out)}".strip()
        table.add_row(report.split, f"{report.images:,}", f"{report.boxes:,}", left_out)
    Console().print(table)


COMMANDS: Mapping[str, Command] = {
    "convert": Command(
        "convert a data set to COCO format",
        {"format": "voc|yolo", "src": "DIR", "out": "DIR"},
        convert,
    ),
    "shard": Command("write a data set as shards", NEEDED, shard, OPTIONAL),
}


def main(arguments: Sequence[str]) -> int:
    """Runs a command; returns its exit code, or 2 after a sentence on the user's mistake."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(
            "".join(f"{_usage(name)}\n  {COMMANDS[name].summary}\n" for name in COMMANDS)
        )
        return 0
    try:
        name, values = _parse(arguments)
        return COMMANDS[name].run(values) or 0
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _usage(name: str) -> str:
    command = COMMANDS[name]
    keys = [f"{key}={example}" for key, example in command.keys.items()]
    keys += [f"[{key}={example}]" for key, example in command.optional.items()]
    return " ".join([_PROGRAM, name, *keys])


def _parse(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    name = arguments[0] if arguments else ""
    if name not in COMMANDS:
        wrong = f"unknown command {name}" if name else "no command"
        raise UserError(f"{wrong}; use {_PROGRAM} {'|'.join(COMMANDS)} key=value ... or --help")
    try:
        content = OmegaConf.to_container(OmegaConf.from_dotlist(list(arguments[1:])))
    except (OmegaConfBaseException, YAMLError, ValueError):
        content = None
    given = content if isinstance(content, dict) else {}
    needed, optional = COMMANDS[name].keys, COMMANDS[name].optional
    known = set(needed) <= set(given) <= set(needed) | set(optional)
    if not known or None in given.values():
        both = "".join(f", optionally {key}" for key in optional)
        raise UserError(f"{name} takes {', '.join(needed)}{both} once each; use {_usage(name)}")
    return name, {str(key): str(value) for key, value in given.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
