"""Where the configs lie, and how a config node becomes an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from yolov9_lit import resolvers
from yolov9_lit.errors import UserError

resolvers.register()

_PACKAGE = Path(__file__).resolve().parent
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


def build(cfg: Any, **arguments: Any) -> Any:
    """Instantiate a config node.

    Args:
        cfg: with a `_target_`.
        arguments: further or overriding ones.

    Raises:
        UserError: its constructor refused a value.
    """
    try:
        return hydra.utils.instantiate(cfg, **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        if isinstance(cause, ValueError | TypeError):
            raise UserError(f"{cfg.get('_target_', 'The config')}: {cause}.") from error
        raise


@contextmanager
def config_mistakes() -> Iterator[None]:
    """Say in a `UserError` what is missing in a config, or why it cannot be composed."""
    try:
        yield
    except (MissingMandatoryValue, InterpolationToMissingValueError) as error:
        raise UserError(f"{_first_line(error)}: give it a value.") from error
    except (ConfigCompositionException, OverrideParseException) as error:
        raise UserError(f"{_first_line(error).rstrip('.')}: correct the override.") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
