"""What `--help` says of a command, taken from its YAML file and the groups that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType

from yolov9_lit.building import CONFIG_DIR
from yolov9_lit.errors import first_few

COMMANDS = (
    *("train", "eval", "predict", "export", "convert"),
    *("summary", "report", "figures", "bench"),
)
"""Those with a YAML file of their name; `data` is of another kind."""

_MOST = 20  # Options of a group that are listed.


def all_commands() -> str:
    """Return what every command is for."""
    data = "Data sets fetched, converted, checked, shown: python -m yolov9_lit.data --help"
    return "\n\n".join([*map(about, COMMANDS), data, "Each lists its settings with --help."])


def about(command: str) -> str:
    """Return what a command is for and how it is called: the first lines of its YAML file."""
    lines = _lines(command)
    return "\n".join(line[2:] for line in takewhile(lambda line: line.startswith("# "), lines))


def group_overview(choices: Mapping[str, Any]) -> str:
    """Return the groups of a command's config, the option that is chosen of each, and all options.

    Private ones, which others are made of, and Hydra's own groups are left out.

    Args:
        choices: option by group, as composed.
    """
    loader = GlobalHydra.instance().config_loader()
    chosen = {str(c).partition("@")[0]: o for c, o in choices.items() if str(c)[:5] != "hydra"}
    lines = ["Groups, group=option (the one that is chosen):"] if chosen else []
    for group, option in sorted(chosen.items()):
        names = loader.get_group_options(group, ObjectType.CONFIG)
        public = [name for name in names if not name.startswith("_")]
        lines.append(f"{group} ({option or 'null'}): {first_few(public, _MOST)}")
    return "\n".join([*lines, "\n"]) if lines else ""


def own_settings(command: str) -> str:
    """Return a command's own settings with their comments: what its YAML has beside its groups."""
    lines = _lines(command)
    start = lines.index("defaults:") + 1
    text = "\n".join(line for line in lines[start:] if not line.startswith("  - ")).strip()
    return text.replace("$", "$$")  # Hydra substitutes $NAME in its help.


def _lines(command: str) -> list[str]:
    return (CONFIG_DIR / f"{command}.yaml").read_text().splitlines()
