"""Whether a checkpoint is of the training that is to go on from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from yolov9_lit.errors import UserError, first_few

OPTIMIZER = "optimizer"
"""Key of the optimiser's class in checkpoints."""


def require_same_training(
    checkpoint: Mapping[str, Any],
    path: str,
    *,
    weights: Mapping[str, Tensor],
    card: Mapping[str, Any],
    optimizer: Optimizer,
) -> None:
    """Refuse a checkpoint that does not fit.

    Args:
        checkpoint: content of the file.
        path: of it.
        weights: of the model that is to be trained.
        card: its card.
        optimizer: a fresh one.

    Raises:
        UserError: model, classes, keypoints or optimiser are others, or the weights are not finite.
    """
    theirs: Mapping[str, Tensor] = checkpoint["state_dict"]
    others = [n for n in {**weights, **theirs} if _shape(weights, n) != _shape(theirs, n)]
    if others:
        raise UserError(
            f"ckpt_path={path} is of another model: {len(others)} tensors differ (first: "
            f"{others[0]}): give its model, or ckpt={path}, which takes the weights that fit."
        )
    given = checkpoint.get("card", {})
    for what in ("class_names", "category_ids"):
        if what in given and list(given[what]) != list(card[what]):
            raise UserError(
                f"ckpt_path={path} is of other classes ({first_few(given[what])}) than the data "
                f"({first_few(card[what])}): give its data, or ckpt={path}, which takes weights of "
                "classes by name."
            )
    if given and given.get("choice") != card.get("choice"):
        raise UserError(
            f"ckpt_path={path} is of other data.classes or another data.single_class: give its "
            f"own, or ckpt={path}, which takes the weights alone."
        )
    _require_same_keypoints(path, card.get("keypoints") or {}, given.get("keypoints") or {})
    if broken := [name for name, tensor in theirs.items() if not tensor.isfinite().all()]:
        raise UserError(
            f"ckpt_path={path} has weights that are not finite ({first_few(broken)}), its training "
            "diverged: give an earlier checkpoint."
        )
    name, own = type(optimizer).__name__, optimizer.param_groups
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    if checkpoint.get(OPTIMIZER, name) != name or _lengths(groups) != _lengths(own):
        raise UserError(
            f"ckpt_path={path} is of another optimizer or freeze: give its own, or ckpt={path}, "
            "which takes the weights alone."
        )


def _require_same_keypoints(path: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Refuse a layout whose figures, losses or mirrored images would not be those so far."""
    names, stated = (list(layout.get("names", ())) for layout in (ours, theirs))
    if names != stated:
        raise UserError(
            f"ckpt_path={path} is of other keypoints ({first_few(stated)}) than the data "
            f"({first_few(names)}): give its data, or ckpt={path}, which takes weights of "
            "keypoints by name."
        )
    for part in ("sigmas", "mirrored"):
        own, other = (list(layout.get(part, ())) for layout in (ours, theirs))
        if own != other:
            raise UserError(
                f"ckpt_path={path} is of keypoints with {part} {other}, not {own}: give "
                f"data.keypoints.{part}={str(other).replace(' ', '')}, or ckpt={path}, which takes "
                "the weights alone."
            )


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def _lengths(groups: list[dict[str, Any]]) -> list[int]:
    return [len(group["params"]) for group in groups]
