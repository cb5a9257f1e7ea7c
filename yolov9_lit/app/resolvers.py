"""Functions that the configs call: names of the folders of sweeps and jobs, and what help says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from omegaconf import OmegaConf

from yolov9_lit.app import help as command_help
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


def register() -> None:
    """Make `${job_slug:...}` and the other functions known to the configs.

    A sweep's name is cached in the config, which Hydra's launchers hand on to their workers: the
    time is the same for all of them.
    """
    for told in (command_help.about, command_help.group_overview, command_help.own_settings):
        OmegaConf.register_new_resolver(told.__name__, told, replace=True)
    OmegaConf.register_new_resolver("size", size, replace=True)
    OmegaConf.register_new_resolver("job_slug", job_slug, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, use_cache=True, replace=True)


def _last_key(override: str) -> str:
    key, equals, value = override.partition("=")
    return key.rsplit(".", 1)[-1] + equals + value
