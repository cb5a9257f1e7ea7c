"""The structure of a checkpoint, for a training on other classes and of another task."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import hydra.utils
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.building import check, setting_names
from yolov9_lit.errors import UserError
from yolov9_lit.models.anchor_head import AnchorHead
from yolov9_lit.models.head import DepthwiseClassHead, Head
from yolov9_lit.weights.parts import check_model
from yolov9_lit.weights.transfer import read_trainable

log = logging.getLogger(__name__)


def adopt_structure(cfg: DictConfig) -> None:
    """Fill `model=checkpoint` in: the structure of the file in `ckpt`, for any number of classes.

    What the config gives beside it takes the place of the file's, e.g. another PGI branch; of the
    head see `_head`.

    Args:
        cfg: of a command; its `model` is replaced where it has no constructor.

    Raises:
        UserError: there is no file, or none that can be trained; or the config's head is none, or
            of a task that the model does not have.
    """
    if not OmegaConf.is_missing(cfg.model, "_target_"):
        _require_task(cfg.model)
        return
    if not cfg.ckpt:
        raise UserError("model=checkpoint takes the structure of a checkpoint: give ckpt=FILE.")
    card = read_trainable(cfg.ckpt).card
    check_model(card.model)
    model = _for_any_classes(card.model)
    given = {key: cfg.model[key] for key in cfg.model if key not in ("_target_", "head")}
    if cfg.model.get("head"):
        check(cfg.model.head)
        head: Any = OmegaConf.to_container(cfg.model.head, resolve=True)
        given |= {"head": _head(head, model["head"])} if model.get("head") else _other(head)
    cfg.model = model | given


def _require_task(model: DictConfig) -> None:
    """Refuse the head of a task where it has taken the place of one with anchors."""
    head = model.get("head") or {}
    if "anchors" in head and not issubclass(hydra.utils.get_object(head["_target_"]), AnchorHead):
        raise UserError(
            "YOLOv7 with anchors finds neither masks nor keypoints: use task=detect, or "
            "model=yolov7_af."
        )


def _head(given: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the head to train, and log how it differs from the file's.

    The file's own, if it finds what the config's does. Otherwise the config's, with those settings
    of the file's that it has too: what both find is laid out alike, and the file's weights fit.

    Args:
        given: the config's.
        file: the file's.
    """
    ours, theirs = (hydra.utils.get_object(head["_target_"]) for head in (given, file))
    task, their_task = (getattr(head, "task", Head.task) for head in (ours, theirs))
    if task == their_task and (ours is Head or issubclass(theirs, ours)):
        if unused := [k for k, v in given.items() if k != "_target_" and file.get(k) != v]:
            settings = ", ".join(f"model.head.{key}" for key in unused)
            log.info("The head is the checkpoint's, not as the config has it (%s)", settings)
        return dict(file)
    if issubclass(theirs, DepthwiseClassHead):  # Of another task's head it is a setting.
        file = {"depthwise_classes": True, **file}
    names = setting_names(ours)
    shared = {k: v for k, v in file.items() if k in given or names is None or k in names}
    new = [key for key in given if key not in file]
    left = [key for key in file if key not in shared]
    log.info(
        "The checkpoint is of task=%s, this training of task=%s: what both heads have is the "
        "file's%s%s",
        *(their_task, task),
        f", {' and '.join(new)} start fresh" if new else "",
        f", {' and '.join(left)} are left out" if left else "",
    )
    return {**given, **shared, "_target_": given["_target_"]}


def _other(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config's head for a model that has no setting of this name, unless it is plain."""
    plain = hydra.utils.get_object(head["_target_"]) is Head
    return {} if plain else {"head": dict(head)}


def _for_any_classes(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's card with class branches that keep the file's width for any classes.

    A head is max(c0, min(factor * classes, limit)) wide: with both at the file's inner minimum, it
    no longer depends on the classes. The number of keypoints is the data's, too.
    """
    head: Mapping[str, Any] = model.get("head") or {}
    if "keypoints" in head:
        head = {**head, "keypoints": None}
    factor, limit = (head.get(f"class_width_{kind}") for kind in ("factor", "limit"))
    if factor is None or limit is None:
        return {**model, "head": head} if head else dict(model)
    width = min(factor * model["num_classes"], limit)
    widths = {"class_width_factor": width, "class_width_limit": width}
    return {**model, "head": {**head, **widths}}
