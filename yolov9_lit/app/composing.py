"""What is wrong with a command line that Hydra cannot compose, in a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.app.configs import CONFIG_DIR, compose
from yolov9_lit.building import config_mistakes
from yolov9_lit.errors import UserError, first_few

_OF_A_MODEL = ("model", "task", "block", "pgi", "prototypes")
"""Groups whose choices a checkpoint keeps."""

_NO_KEY = re.compile(r"Could not (?:override|append to config|delete(?: from config\.)?) '([^'=]+)")
_NO_OPTION = re.compile(r"Could not (?:find|load) '(.+)/([^/']+)'")
_NOT_CHOSEN = re.compile(r"Could not delete '([^'=]+)=(.*)'")
_NO_GROUP = re.compile(r"In '([^']+)/([^/']+)': Could not override '([^']+)'")
_SEVERAL = re.compile(r"Ambiguous value for argument '(([^=]+)=(.*))'")


_FULL_ERROR = "HYDRA_FULL_ERROR"
_set_here: list[str] = []


@contextmanager
def raised_by_hydra() -> Iterator[None]:
    """Have Hydra raise what it cannot compose, in place of telling it in several lines of its own.

    A user who asks for Hydra's own account by the same variable gets it.
    """
    if _FULL_ERROR not in os.environ:
        os.environ[_FULL_ERROR] = "1"
        _set_here.append(_FULL_ERROR)
    try:
        yield
    finally:
        let_hydra_tell()


def let_hydra_tell() -> None:
    """Leave errors to Hydra from here on: the command line is composed, jobs begin."""
    while _set_here:
        os.environ.pop(_set_here.pop(), None)


@contextmanager
def composition_mistakes(name: str) -> Iterator[None]:
    """Raise a `UserError` for overrides that a command's config cannot be composed with.

    Args:
        name: of the command's config.
    """
    try:
        with config_mistakes():
            yield
    except UserError as error:
        cause = error.__cause__
        if not isinstance(cause, ConfigCompositionException | MissingConfigException):
            raise
        raise UserError(_sentence(name, str(cause)) or str(error)) from cause


def require_known(name: str, cfg: DictConfig) -> None:
    """Refuse keys added by `+` that nothing in a command reads.

    What stands under one of its settings is judged there; groups of a user's own, and keys that
    the config refers to, are read.

    Args:
        name: of the command's config.
        cfg: as composed for the running command.

    Raises:
        UserError: there is one.
    """
    running = HydraConfig.get()
    added = [
        override.lstrip("+").partition("=")[0].partition("@")[0]
        for override in running.overrides.task
        if override.startswith("+")
    ]
    chosen = running.runtime.choices
    unread = [key for key in added if key.partition(".")[0] not in chosen]
    if not unread:
        return
    known, text = set(compose(name)), OmegaConf.to_yaml(cfg)
    for key in unread:
        top = key.partition(".")[0]
        if top not in known and f"${{{top}" not in text and "/" not in key:
            raise UserError(_unknown(name, key))


def _sentence(name: str, told: str) -> str:
    """Write what the library told in several lines, with what there is; "" of anything else."""
    if found := _SEVERAL.match(told):
        return (
            f"{found[1]} gives several values: add -m to train with each, or write a list, "
            f"{found[2]}=[{found[3]}]."
        )
    if found := _NO_OPTION.search(told):
        group = CONFIG_DIR / found[1]
        listed = sorted(path.stem for path in group.glob("*.yaml"))
        listed = listed or re.findall(r"^\t(\w\S*)$", told, re.MULTILINE)  # a group of Hydra's own
        known = [option for option in listed if not option.startswith("_")]
        near = get_close_matches(found[2], known, n=5, cutoff=0.4)
        shown = list(dict.fromkeys([*near, *known]))
        return f"There is no {found[1]}={found[2]}: give one of {first_few(shown, 8)}."
    if found := _NO_GROUP.match(told):
        return (
            f"{found[1]}={found[2]} chooses a {found[3]}, which is no part of what the command "
            f"line chooses: leave {found[1]}={found[2]} out, or what takes {found[3]} away."
        )
    if found := _NOT_CHOSEN.match(told):
        return f"~{found[1]}={found[2]} leaves nothing out, as it is not chosen: give ~{found[1]}."
    if found := _NO_KEY.match(told):
        return _unknown(name, found[1].strip())
    return ""


def _unknown(name: str, key: str) -> str:
    """Say that a command has no such setting or group, and what it has."""
    known, group = list(_keys(compose(name))), key.partition(".")[0]
    if group in _OF_A_MODEL and "ckpt" in known and "model" not in known:
        return f"{name} has no setting {key}, which is part of the checkpoint: leave it out."
    if owner := _owner(name, group):
        return f"{name} has no setting {key} without {owner}: give {owner}, or leave it out."
    last = {k.rpartition(".")[2]: k for k in reversed(known)}
    near = get_close_matches(key, known, n=3, cutoff=0.7)
    near += [last[k] for k in get_close_matches(key.rpartition(".")[2], last, n=3, cutoff=0.7)]
    several = [k for k in known if k.startswith(f"{key.rpartition('.')[0]}.")] if "." in key else []
    shown = list(dict.fromkeys(near)) or several or [k for k in known if "." not in k]
    return (
        f"{name} has no setting {key}: give one that it has, such as {first_few(shown, 8)}; "
        "--help lists all."
    )


def _owner(name: str, group: str) -> str:
    """Return the choice of a command's own group that brings another group; "" where none does."""
    groups = re.findall(r"^  - (\w+):", (CONFIG_DIR / f"{name}.yaml").read_text(), re.MULTILINE)
    brings = f"  - /{group}:"
    files = [file for own in groups for file in sorted((CONFIG_DIR / own).glob("*.yaml"))]
    found = (file for file in files if brings in file.read_text())
    return next((f"{file.parent.name}={file.stem}" for file in found), "")


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, node):
        yield f"{prefix}{key}"
        inner = node._get_node(key)
        if isinstance(inner, DictConfig) and not inner._is_none() and not inner._is_missing():
            yield from _keys(inner, f"{prefix}{key}.")
