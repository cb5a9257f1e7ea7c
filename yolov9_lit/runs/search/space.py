"""The search space, written as Hydra's sweeps are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from yolov9_lit.errors import UserError


class Space(NamedTuple):
    """What a search varies.

    Attributes:
        searched: distributions by override key.
        fixed: overrides that every trial has.
    """

    searched: dict[str, BaseDistribution]
    fixed: list[str]


def parse_space(
    parser: OverridesParser, params: Mapping[str, str], arguments: Iterable[str]
) -> Space:
    """Read the space.

    Args:
        parser: Hydra's.
        params: the config's part: `choice(...)`, `range(...)`, `interval(...)` by override key.
        arguments: the command line's overrides; a sweep replaces or adds to the config's part, a
            single value takes its key out of the search.

    Raises:
        UserError: nothing varies.
    """
    given = [*(f"{key}={value}" for key, value in params.items()), *arguments]
    overrides = {o.get_key_element(): o for o in parser.parse_overrides(given)}
    searched = {k: _distribution(o) for k, o in overrides.items() if o.is_sweep_override()}
    if not searched:
        raise UserError(
            "This search varies nothing: give it choices, e.g. block=csp,conv or "
            "'model.elan_depth=range(1,4)'."
        )
    fixed = [str(o.input_line) for o in overrides.values() if not o.is_sweep_override()]
    return Space(searched, fixed)


def _distribution(override: Override) -> BaseDistribution:
    if override.is_choice_sweep():
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    if override.is_range_sweep():
        return _grid([float(str(v)) for v in override.sweep_iterator()])
    interval = override.value()
    assert isinstance(interval, IntervalSweep)
    return FloatDistribution(
        float(str(interval.start)), float(str(interval.end)), log="log" in interval.tags
    )


def _grid(values: list[float]) -> BaseDistribution:
    """Evenly spaced numbers; whole ones stay whole."""
    low, high = min(values), max(values)
    step = abs(values[1] - values[0]) if len(values) > 1 else 1.0
    if all(v.is_integer() for v in (low, step)):
        return IntDistribution(int(low), int(high), step=int(step))
    return FloatDistribution(low, high, step=step)
