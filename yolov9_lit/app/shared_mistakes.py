"""A mistake that all jobs of a sweep share is told once, before any of them begins."""

from __future__ import annotations

from collections.abc import Iterator
from pkgutil import resolve_name

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict, read_write

from yolov9_lit.app.composing import require_known
from yolov9_lit.building import config_mistakes
from yolov9_lit.errors import UserError

checks: list[str] = []
"""The command's check of a job's config, "module:function", imported when a sweep begins."""


def shared_mistake(config: DictConfig) -> UserError | None:
    """Return the mistake that every job of a sweep has; None if they differ or one has none.

    Looks at a few jobs in which each value of each swept setting occurs, at one where it is sound.

    Args:
        config: of the sweep, with Hydra's own.
    """
    found: UserError | None = None
    if not checks:
        return None
    before = HydraConfig.instance().cfg
    try:
        for job in _samples(config):
            mistake = _mistake(job)
            if mistake is None or (found and str(found) != str(mistake)):
                return None
            found = mistake
    except HydraException:  # Hydra composes all jobs before the first, and tells it.
        return None
    finally:
        HydraConfig.instance().cfg = before
    return found


def _samples(config: DictConfig) -> Iterator[DictConfig]:
    loader = GlobalHydra.instance().config_loader()
    params = config.hydra.sweeper.get("params") or {}
    lines = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
    parser = OverridesParser.create(config_loader=loader)
    values = {o.get_key_element(): _lines(o) for o in parser.parse_overrides(lines)}
    if not all(values.values()):  # A glob matches nothing, so there is no job.
        return
    for index in range(max(map(len, values.values()), default=1)):
        overrides = [line for of in values.values() if (line := of[index % len(of)])]
        job = loader.load_sweep_config(config, overrides)
        with read_write(job.hydra), open_dict(job.hydra):
            job.hydra.runtime.output_dir = config.hydra.sweep.dir
        yield job


def _lines(override: Override) -> list[str]:
    """Return an override for each value that one gives; an empty one of an interval."""
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if not override.is_discrete_sweep():
        return [""]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _mistake(job: DictConfig) -> UserError | None:
    HydraConfig.instance().set_config(job)
    settings = job.copy()
    with read_write(settings), open_dict(settings):
        del settings["hydra"]
    try:
        with config_mistakes():
            require_known(job.hydra.job.config_name, settings)
            resolve_name(checks[0])(settings)
    except UserError as error:
        return error
    return None
