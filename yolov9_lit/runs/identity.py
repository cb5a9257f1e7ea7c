"""What makes a run the experiment it is, apart from where and how it is carried out."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

from yolov9_lit.weights.card import spelled_out

NOT_THE_EXPERIMENT = (
    "run_dir",
    "ckpt_path",
    "sweep",
    "table",  # of the paper: names the sweep
    "logger",
    "callbacks.last",
    "callbacks.pictures",
    "callbacks.progress",
    "data.cache",
    "data.cache_dir",
    "data.cache_gb",
    "data.shard_cache_dir",
    "data.shard_cache_gb",
    "data.num_workers",
    "data.augmentation",  # the same as `augment`
    "data.how_to_get",
    "data.prepare",
    "trainer.accelerator",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
    "trainer.profiler",
)
"""Keys, and all below them, that say where and how a run is carried out, not what it is."""


def is_experiment(key: str) -> bool:
    """Whether a dotted key makes the experiment."""
    return not any(key == part or key.startswith(f"{part}.") for part in NOT_THE_EXPERIMENT)


def experiment_config(cfg: DictConfig) -> dict[str, Any]:
    """The resolved config in plain containers, without where and how it is carried out.

    Paths within the run's folder are written as `${run_dir}/...`.
    """
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    plain["model"] = spelled_out(plain["model"])
    pruned = _pruned(plain, str(cfg.run_dir))
    assert isinstance(pruned, dict)
    return pruned


def differences(first: Any, second: Any, key: str = "") -> list[str]:
    """Keys, dotted, at which two experiments differ; the paper's figures are none of them.

    Nor is what an earlier version may have taken for a part of the experiment.
    """
    if key == "paper" or not is_experiment(key):
        return []
    if isinstance(first, dict) and isinstance(second, dict):
        names = [*first, *(name for name in second if name not in first)]
        missing = object()
        return [
            found
            for name in names
            for found in differences(
                first.get(name, missing), second.get(name, missing), f"{key}.{name}".lstrip(".")
            )
        ]
    return [] if first == second else [key]


def fingerprint(config: dict[str, Any]) -> str:
    """Short hash of an experiment's config."""
    text = json.dumps({k: v for k, v in config.items() if k != "paper"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _pruned(node: Any, run_dir: str, key: str = "") -> Any:
    if isinstance(node, dict):
        keys = {name: f"{key}.{name}".lstrip(".") for name in node}
        return {
            str(name): _pruned(value, run_dir, keys[name])
            for name, value in node.items()
            if is_experiment(keys[name])
        }
    if isinstance(node, list):
        return [_pruned(value, run_dir, key) for value in node]
    return node.replace(run_dir, "${run_dir}") if isinstance(node, str) else node
