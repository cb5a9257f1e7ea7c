"""What makes a run the experiment it is, apart from where and how it is carried out.

The rule: a key whose path stands in the node `execution` (conf/execution/default.yaml) says
how a run is carried out, with all below it. Everything else makes the experiment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import reduce
from typing import Any

from omegaconf import DictConfig, OmegaConf

NODE = "execution"
EARLIER = "paper"
"""A node that earlier configs had: the paper's figures, which make no experiment."""

PACKAGE = "yolov9_lit."
ADDED: Mapping[str, Any] = {
    "data.classes": None,
    "data.single_class": False,
    "data.repeat_threshold": None,
    "model.width": 1.0,
    "model.levels": [3, 4, 5],
    "model.pgi.fine.detach": False,
    "loss.guide": None,
    "loss.distillation": None,
    "aux_schedule.detach": 1.0,
    "multi_scale": None,
    "lr_find": False,
    "unfreeze_epoch": None,
    "aux_schedule": {
        "_target_": f"{PACKAGE}training.aux_schedule.AuxiliarySchedule",
        **{"decay": "constant", "final_factor": 0.0, "start": 0.0, "end": 1.0},
    },
}
"""Keys that earlier configs lacked, with the values by which all trained: these go unsaid."""
REPLACED = {"lightning.pytorch.callbacks.ModelCheckpoint": "BestCheckpoint"}
"""Classes in whose place a later version has one of this package."""


def is_experiment(key: str, execution: Mapping[str, Any] | None) -> bool:
    """Tell whether a dotted key makes the experiment.

    Args:
        key: of the config; empty for its root.
        execution: the config's node of that name.
    """
    parts = key.split(".")
    if parts[0] in (NODE, EARLIER):
        return False
    node: Any = execution or {}
    for part in parts:
        if part not in node:
            return True
        node = node[part]
        if not isinstance(node, Mapping):
            return False
    return True


def experiment_config(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved config in plain containers, without where and how it is carried out.

    Widths of the model are spelled out, keys of `ADDED` left out where nothing is changed; paths
    within the run's folder begin with `${run_dir}`.
    """
    from yolov9_lit.weights.card import spelled_out  # torch: who reads records does without it

    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    plain["model"] = spelled_out(plain["model"])
    pruned = _pruned(plain, plain.get(NODE), str(cfg.run_dir))
    assert isinstance(pruned, dict)
    for added, usual in ADDED.items():
        *above, name = added.split(".")
        node = reduce(lambda inner, part: inner.get(part) or {}, above, pruned)
        if name in node and node[name] == usual:
            del node[name]
    if isinstance(trainer := pruned.get("trainer"), dict):
        trainer["max_time"] = None  # Earlier it was of the experiment: fingerprints stay.
    return pruned


def differences(
    first: Any, second: Any, execution: Mapping[str, Any] | None, key: str = ""
) -> list[str]:
    """List the dotted keys at which two experiments differ.

    Classes of this package are compared by name: a later version may keep them elsewhere. Keys that
    an earlier version took for a part of the experiment are passed over.

    Args:
        first: config of an experiment.
        second: of another.
        execution: the node of that name of the present config.
        key: at which the two stand; empty for the root.
    """
    if key and not is_experiment(key, execution):
        return []
    if isinstance(first, dict) and isinstance(second, dict):
        names = [*first, *(name for name in second if name not in first)]
        missing = object()
        return [
            found
            for name in names
            for found in differences(
                first.get(name, missing),
                second.get(name, missing),
                execution,
                f"{key}.{name}".lstrip("."),
            )
        ]
    return [] if moved(first) == moved(second) else [key]


def moved(value: Any) -> Any:
    """Return a value in which classes of this package have lost the modules they lie in."""
    if isinstance(value, dict):
        return {key: moved(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [moved(inner) for inner in value]
    own = isinstance(value, str) and value.startswith(PACKAGE)
    return value.rsplit(".", 1)[-1] if own else REPLACED.get(str(value), value)


def fingerprint(config: dict[str, Any]) -> str:
    """Return a short hash of an experiment's config."""
    kept = {name: value for name, value in config.items() if name != EARLIER}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _pruned(node: Any, execution: Mapping[str, Any] | None, run_dir: str, key: str = "") -> Any:
    if isinstance(node, dict):
        keys = {name: f"{key}.{name}".lstrip(".") for name in node}
        return {
            str(name): _pruned(value, execution, run_dir, keys[name])
            for name, value in node.items()
            if is_experiment(keys[name], execution)
        }
    if isinstance(node, list):
        return [_pruned(value, execution, run_dir, key) for value in node]
    return node.replace(run_dir, "${run_dir}") if isinstance(node, str) else node
