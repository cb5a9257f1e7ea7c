"""Where the configs lie, and how a config node becomes an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException

from yolov9_lit import resolvers
from yolov9_lit.errors import UserError

resolvers.register()

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
