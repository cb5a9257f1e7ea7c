"""Functions that the configs call to name the folders of sweeps and their jobs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from yolov9_lit.runs.description import run_name
from yolov9_lit.runs.identity import is_experiment

SLUG_BYTES = 100
"""Of the readable part: file systems take 255 in all, and a letter may have several."""


def job_slug(overrides: Sequence[str], execution: Mapping[str, Any] | None) -> str:
    """Folder name of a job: its overrides, readable, and a hash that tells all of them apart.

    The same experiment gets the same name, so that a sweep started again finds its jobs: overrides
    that only say where and how a job is carried out are left out.
    """
    own = sorted(o for o in overrides if is_experiment(o.partition("=")[0].lstrip("+~"), execution))
    digest = hashlib.sha256("\n".join(own).encode(errors="surrogateescape")).hexdigest()[:8]
    words = [_last_key(override) for override in own if "/" not in override]
    start = re.sub(r"[^\w.,=+-]+", "_", ",".join(words)).encode()[:SLUG_BYTES]
    readable = start.decode(errors="ignore").strip("_,.")
    return f"{readable}-{digest}" if readable else digest


def sweep_name(name: str | None, default: str = "") -> str:
    """Return the name given, or the default, or the time."""
    return name or default or datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def size(model: str, field: str) -> Any:
    """Return a width or depth of a model, or the path of a part's class."""
    from yolov9_lit.weights.card import model_config  # torch: not before a model is looked at

    value = model_config(model)[field]
    return value["_target_"] if isinstance(value, dict) else value


def group_overview(choices: Mapping[str, Any]) -> str:
    """Return the groups that a command's config is composed of with their options, for its help.

    Private ones, which others are made of, and Hydra's own groups are left out.
    """
    loader = GlobalHydra.instance().config_loader()
    groups = {str(c).partition("@")[0] for c in choices if not str(c).startswith("hydra")}
    options = {g: loader.get_group_options(g, ObjectType.CONFIG) for g in sorted(groups)}
    lines = (
        f"{group}: {', '.join(o for o in names if not o.startswith('_'))}"
        for group, names in options.items()
    )
    return "\n".join(["Groups, group=option:", *lines, "\n"]) if groups else ""


def register() -> None:
    """Make `${job_slug:...}` and the other functions known to the configs.

    A sweep's name is cached in the config, which Hydra's launchers hand on to their workers: the
    time is the same for all of them.
    """
    OmegaConf.register_new_resolver("group_overview", group_overview, replace=True)
    OmegaConf.register_new_resolver("size", size, replace=True)
    OmegaConf.register_new_resolver("job_slug", job_slug, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, use_cache=True, replace=True)


def _last_key(override: str) -> str:
    key, equals, value = override.partition("=")
    return key.rsplit(".", 1)[-1] + equals + value
