"""From a config node to an object; what is wrong with a config, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hydra.utils
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    OverrideParseException,
)
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from yolov9_lit.errors import UserError


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
