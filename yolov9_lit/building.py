"""From a config to the object that it describes; what is wrong with a config, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra.utils
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    OverrideParseException,
)
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from yolov9_lit.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
CONFIG_DIR = next(d for d in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if d.is_dir())
"""The configs: inside the package when installed, beside it in a checkout."""


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
    """Raise a `UserError` for a config that lacks a value or cannot be composed."""
    try:
        yield
    except (MissingMandatoryValue, InterpolationToMissingValueError) as error:
        raise UserError(f"{_first_line(error)}: give it a value.") from error
    except (ConfigCompositionException, OverrideParseException) as error:
        raise UserError(f"{_first_line(error).rstrip('.')}: correct the override.") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
