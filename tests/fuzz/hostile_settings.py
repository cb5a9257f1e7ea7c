"""Any value for any setting of a training: refused by a sentence before data are read."""

import os
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

from data_properties import MEMORY
from hostile_values import mutation, some, texts, values
from hypothesis import strategies as st
from omegaconf import DictConfig, ListConfig, OmegaConf
from watching import watched

from yolov9_lit.app.configs import compose
from yolov9_lit.app.train import train
from yolov9_lit.building import config_mistakes
from yolov9_lit.errors import UserError

BASE = ["data=coco", "data.root=nowhere", "model=gelan_t", "trainer=cpu", "run_dir=run"]


@cache
def _base() -> DictConfig:
    return compose("train", BASE)


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of all nodes, lists and groups among them."""
    names = range(len(node)) if isinstance(node, ListConfig) else node
    for name in names:
        yield f"{prefix}{name}"
        inner = node._get_node(name)
        if OmegaConf.is_config(inner) and not inner._is_none() and not inner._is_interpolation():
            yield from _keys(inner, f"{prefix}{name}.")


def set_setting(cfg: DictConfig, key, value):
    OmegaConf.update(cfg, key, value, merge=False, force_add=True)


def remove_setting(cfg: DictConfig, key):
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if isinstance(node, DictConfig) and name in node:
        node._content.pop(name)  # type: ignore[union-attr]


def settings_of_training() -> tuple[st.SearchStrategy, Any]:
    """Settings in the composed config."""
    return st.deferred(_changes), _train_with_settings


def _changes() -> st.SearchStrategy:
    keys = [key for key in _keys(_base()) if not key.startswith(("data.root", "hydra"))]
    key = st.sampled_from(keys)
    usual = st.sampled_from([2, 8, 0.25, 640, 65, "auto", "min", ["a"], [0.5, 0.5]])
    changes = [
        mutation(set_setting, key=key, value=values | usual),
        mutation(set_setting, key=key.map("{}.new".format), value=values),
        mutation(remove_setting, key=key),
    ]
    return some(changes, most=2)


def _train_with_settings(mutations: list) -> list[str]:
    cfg = deepcopy(_base())
    try:
        for change in mutations:
            change(cfg)
    except Exception:  # What a config cannot hold does not come from one.
        return []
    return _refused(lambda: cfg)


def overrides() -> tuple[st.SearchStrategy, Any]:
    """Overrides as they are typed."""
    key = st.sampled_from(["seed", "data", "model", "trainer.max_epochs", "augment", "data.root"])
    given = st.builds("{}{}={}".format, st.sampled_from(["", "+", "++", "~"]), key, texts)
    return st.lists(given | texts, min_size=1, max_size=2), _train_with_overrides


def _train_with_overrides(given: list[str]) -> list[str]:
    return _refused(lambda: compose("train", [*BASE, *given]))


def _refused(config: Any) -> list[str]:
    """Hold that a training ends in a sentence: at the latest there is no such data folder."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, watched() as messages:
        os.chdir(folder)
        try:
            with config_mistakes():
                train(config())
            raise AssertionError("nothing was refused")
        except UserError as error:
            messages.texts.append(str(error))
        finally:
            os.chdir(before)
    return messages.texts
