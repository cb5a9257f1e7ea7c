"""Where the configs lie, and how one is composed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from yolov9_lit.app import resolvers

resolvers.register()

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIG_DIR = next(d for d in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if d.is_dir())
"""The configs: inside the package when installed, beside it in a checkout."""


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose one of this package's configs; inside a command too, whose own stay as they are.

    Args:
        name: of a YAML file in the config folder, without its ending.
        overrides: as on the command line.
    """
    with _outside_of_commands(), hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(name, overrides=list(overrides))


@contextmanager
def _outside_of_commands() -> Iterator[None]:
    """Set the running command's Hydra aside: there is room for one only."""
    room = GlobalHydra.instance()
    outer = room.hydra
    room.clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = outer
