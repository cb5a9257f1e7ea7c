"""What a card may build: parts of models, of plain values.

Hydra calls whatever a config names, also by way of a module that another one imports
(`yolov9_lit.models.layers.torch.hub.load`): what counts is where the thing named was defined.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import hydra.utils
from torch import nn

from yolov9_lit.errors import UserError

OWN = "yolov9_lit.models."
DEEPEST = 20
MOST_VALUES = 10_000
"""A model's config has some hundred values, a few levels deep."""

DEEPEST_STAGE = 100
"""Blocks of a stage one after the other; a published one has three."""


def check_model(model: Mapping[str, Any]) -> None:
    """Refuse a card's model that is no plain config of model parts.

    Raises:
        UserError: it holds something else, has no end, or names a constructor that is not there
            or builds no part of a model.
    """
    for number, (key, value, depth) in enumerate(_values(model)):
        if number > MOST_VALUES or depth > DEEPEST:
            raise UserError("The checkpoint's model has no end: it is refused.")
        if key.endswith("_depth") and isinstance(value, int) and value > DEEPEST_STAGE:
            raise UserError(
                f"The checkpoint's model has {key}={value}: no stage is as deep; refused."
            )
        if key == "_target_":
            _check_target(value)
        elif not isinstance(value, Mapping | list | tuple | str | int | float | None):
            kind = type(value).__name__
            raise UserError(f"The checkpoint's model has a {kind} as {key}: it is refused.")
        elif isinstance(value, str) and "${" in value:
            raise UserError(f"The checkpoint's model refers to {value} as {key}: it is refused.")


def _values(model: Any) -> Iterator[tuple[str, Any, int]]:
    """(key, value, depth) of every node; an endless one is told by the caller."""
    left = [("model", model, 0)]
    while left:
        key, value, depth = left.pop()
        yield key, value, depth
        if isinstance(value, Mapping):
            left += ((str(k)[:99], child, depth + 1) for k, child in value.items())
        elif isinstance(value, list | tuple):
            left += ((key, child, depth + 1) for child in value)


def _check_target(target: Any) -> None:
    """Refuse a part that is neither this package's nor a user's `nn.Module` class."""
    refusal = UserError(f"The checkpoint names {target!r:.99} as a part of a model: it is refused.")
    if not isinstance(target, str) or target.partition(".")[0] in sys.stdlib_module_names:
        raise refusal
    try:
        found = hydra.utils.get_object(target)
    except Exception as error:  # a user's module may fail in any way
        raise UserError(
            f"The checkpoint's model needs {target}, which cannot be imported here: "
            "put its module on PYTHONPATH."
        ) from error
    own = callable(found) and f"{getattr(found, '__module__', '')}.".startswith(OWN)
    if not (own or (isinstance(found, type) and issubclass(found, nn.Module))):
        raise refusal
