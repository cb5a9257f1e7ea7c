"""How a config of a command is composed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from yolov9_lit.app import resolvers
from yolov9_lit.building import CONFIG_DIR

__all__ = ["CONFIG_DIR", "compose", "for_hydra"]

resolvers.register()

_NO_NAME = re.compile(r"[-+]?[\d_.]+(e[-+]?\d+)?|[-+]?(nan|inf)|true|false", re.IGNORECASE)
"""What Hydra takes for a number or a truth value, and refuses as an option of a group."""


def for_hydra(override: str) -> str:
    """Return an override as Hydra takes it: `~group` for `group=null`, a group's option as text."""
    group, _, value = override.partition("=")
    name = group.lstrip("+~")
    if not name or not os.path.isdir(CONFIG_DIR / name):  # Of a path that cannot be, too.
        return override
    if value == "null":
        return f"~{name}"
    if group.startswith("~") and value.startswith("["):  # Hydra would end in a traceback.
        value = value.replace("'", "\\'")
        return f"{group}='{value}'"
    return f"{group}='{value}'" if _NO_NAME.fullmatch(value) else override


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose one of this package's configs, also within a command, whose own stays as it is.

    Args:
        name: of a YAML file in the config folder, without its ending.
        overrides: as on the command line.
    """
    with _outside_of_commands(), hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(name, overrides=[*map(for_hydra, overrides)])


@contextmanager
def _outside_of_commands() -> Iterator[None]:
    """Set the running command's Hydra aside: there can be one at a time."""
    singleton = GlobalHydra.instance()
    outer = singleton.hydra
    singleton.clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = outer
