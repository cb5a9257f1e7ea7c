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

from yolov9_lit.configs import build, compose, config_mistakes
from yolov9_lit.data.formats import convert_voc, convert_yolo
from yolov9_lit.data.preview import write_preview
from yolov9_lit.errors import UserError

_PROGRAM = "python -m yolov9_lit.data"


class Command(NamedTuple):
    """A command.

    Attributes:
        summary: what it does.
        keys: an example value for each key that it needs.
        run: the code behind it, given the values, and the overrides where it takes any.
        optional: an example value for each key that may be left out.
        overrides: an example of what else it takes, overrides of the training's config; none where
            empty.
    """

    summary: str
    keys: Mapping[str, str]
    run: Callable[..., None]
    optional: Mapping[str, str] = MappingProxyType({})
    overrides: str = ""


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


def preview(values: Mapping[str, str], *overrides: str) -> None:
    """Writes a sheet of training pictures as the training with these overrides sees them.

    Raises:
        UserError: the config cannot be composed, the data is not there, or a value is wrong.
    """
    count = values.get("count", "16")
    if not count.isdecimal() or int(count) < 1:
        raise UserError(f"count is {count}; give the number of pictures, 1 or more")
    with config_mistakes():
        datamodule = build(compose("train", overrides).data, num_workers=0)
    datamodule.prepare_data()
    datamodule.setup("fit")
    out = Path(values["out"])
    shown = write_preview(datamodule, out, int(count))
    sys.stdout.write(f"{out}: {shown} training pictures of {datamodule.root}\n")


COMMANDS: Mapping[str, Command] = {
    "convert": Command(
        "convert a data set to COCO format",
        {"format": "voc|yolo", "src": "DIR", "out": "DIR"},
        convert,
    ),
    "preview": Command(
        "draw training pictures as the training with these overrides sees them",
        {"out": "FILE.png"},
        preview,
        optional={"count": "16"},
        overrides="data=coco data.root=DIR augment=paper seed=0 ...",
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Runs a command; returns the exit code: 0, or 2 after a sentence on the user's mistake."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(
            "".join(f"{_usage(name)}\n  {COMMANDS[name].summary}\n" for name in COMMANDS)
        )
        return 0
    try:
        name, values, overrides = _parse(arguments)
        COMMANDS[name].run(values, *overrides)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _usage(name: str) -> str:
    command = COMMANDS[name]
    keys = [f"{key}={example}" for key, example in command.keys.items()]
    keys += [f"[{key}={example}]" for key, example in command.optional.items()]
    if command.overrides:
        keys.append(f"[{command.overrides}]")
    return " ".join([_PROGRAM, name, *keys])


def _parse(arguments: Sequence[str]) -> tuple[str, dict[str, str], list[str]]:
    name = arguments[0] if arguments else ""
    if name not in COMMANDS:
        wrong = f"unknown command {name}" if name else "no command"
        raise UserError(f"{wrong}; use {_PROGRAM} {'|'.join(COMMANDS)} key=value ... or --help")
    command = COMMANDS[name]
    own = {*command.keys, *command.optional}
    overrides = [a for a in arguments[1:] if command.overrides and a.partition("=")[0] not in own]
    try:
        dotlist = [argument for argument in arguments[1:] if argument not in overrides]
        content = OmegaConf.to_container(OmegaConf.from_dotlist(dotlist))
    except (OmegaConfBaseException, YAMLError, ValueError):
        content = None
    given = content if isinstance(content, dict) else {}
    if not set(command.keys) <= set(given) <= own or None in given.values():
        optional = "".join(f", optionally {key}" for key in command.optional)
        needed = ", ".join(command.keys) + optional
        raise UserError(f"{name} takes {needed} once each; use {_usage(name)}")
    return name, {str(key): str(value) for key, value in given.items()}, overrides


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
