"""Commands on data sets: `python -m yolov9_lit.data COMMAND key=value ...`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, NamedTuple

from yolov9_lit.errors import UserError

_PROGRAM = "python -m yolov9_lit.data"


class Command(NamedTuple):
    """A command.

    Attributes:
        summary: what it does.
        run: the function behind it, "module:name", imported when it is called. Its arguments are
            the values by key and, if the command takes overrides, a function that builds the data
            module that they describe; it returns the exit code, None for 0.
        keys: an example value for each key that it needs.
        optional: an example value for each key that may be left out.
        overrides: an example of the overrides of the training's config that it takes; empty if it
            takes none.
    """

    summary: str
    run: str
    keys: Mapping[str, str]
    optional: Mapping[str, str] = MappingProxyType({})
    overrides: str = ""


COMMANDS: Mapping[str, Command] = {
    "download": Command(
        "download a data set; run again after an interruption, it goes on where it was",
        "yolov9_lit.data.prepare.download.command:run",
        {"name": "coco", "root": "DIR"},
        {"splits": "val,annotations", "url": "MIRROR", "keep": "true"},
    ),
    "convert": Command(
        "convert a data set to COCO format, or from it",
        "yolov9_lit.data.prepare.formats.convert:run",
        {"format": "voc|yolo|coco|cvat|visdrone|roboflow", "src": "DIR", "out": "DIR"},
        {"to": "coco|voc|yolo", "strict": "true", "keypoints": "false"},
    ),
    "check": Command(
        "read a data set in COCO format whole and report its faults; exit code 1 where there are "
        "some",
        "yolov9_lit.data.prepare.check_report:run",
        {"root": "DIR"},
        {
            "page": "FILE.html",
            "annotations": "FILE",
            "images": "DIR",
            "workers": "NUMBER",
            "masks": "true",
        },
    ),
    "shard": Command(
        "write a data set in COCO format as shards, for `data=stream`",
        "yolov9_lit.data.shards.command:run",
        {"out": "DIR"},
        {
            "root": "DIR",
            "annotations": "FILE",
            "images": "DIR",
            "shard_mb": "256",
            "seed": "0",
        },
    ),
    "tile": Command(
        "cut a data set's large images into tiles that overlap, a data set in COCO format",
        "yolov9_lit.data.prepare.tile:run",
        {"out": "DIR"},
        {"size": "640", "overlap": "0.2", "visible": "0.3", "empty": "1"},
        "data=coco data.root=DIR seed=0 ...",
    ),
    "preview": Command(
        "draw training images as the training with these overrides sees them",
        "yolov9_lit.data.prepare.preview:run",
        {"out": "FILE.png"},
        {"count": "16"},
        "data=coco data.root=DIR augment=paper seed=0 ...",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code, 2 after a sentence on the user's mistake.

    Args:
        arguments: of the command line; this process's by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(
            "".join(f"{_usage(name)}\n  {COMMANDS[name].summary}\n" for name in COMMANDS)
        )
        return 0
    try:
        name, values, overrides = _parse(arguments)
        builders = [partial(_build_data, overrides)] if COMMANDS[name].overrides else []
        return resolve_name(COMMANDS[name].run)(values, *builders) or 0
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


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
        raise UserError(f"{wrong}: use {_PROGRAM} {'|'.join(COMMANDS)} key=value ... or --help")
    command = COMMANDS[name]
    own = {*command.keys, *command.optional}
    overrides = [a for a in arguments[1:] if command.overrides and a.partition("=")[0] not in own]
    pairs = (argument.partition("=") for argument in arguments[1:] if argument not in overrides)
    values = {key: value for key, _, value in pairs}  # Text: 007 is a name, not a number.
    if not set(command.keys) <= set(values) <= own or not all(values.values()):
        optional = "".join(f", optionally {key}" for key in command.optional)
        needed = ", ".join(command.keys) + optional
        raise UserError(f"{name} takes {needed} once each: use {_usage(name)}")
    return name, values, overrides


def _build_data(overrides: Sequence[str]) -> Any:
    """Build the data module of a training with these overrides, with no loader processes."""
    from yolov9_lit.app.composing import composition_mistakes
    from yolov9_lit.app.configs import compose
    from yolov9_lit.building import build

    with composition_mistakes("train"):
        return build(compose("train", overrides).data, num_workers=0)


if __name__ == "__main__":
    sys.exit(main())
