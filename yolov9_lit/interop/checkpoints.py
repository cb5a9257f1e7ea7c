"""Reading this project's checkpoints."""

from __future__ import annotations

import importlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from yolov9_lit.configs import build
from yolov9_lit.errors import UserError
from yolov9_lit.interop.card import ModelCard
from yolov9_lit.models.detector import Detector

PREFIX = "detector."


class Checkpoint(NamedTuple):
    """A checkpoint's card and the (averaged) weights of its detector."""

    card: ModelCard
    weights: dict[str, Tensor]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that training wrote; nothing in the file is executed.

    Raises:
        UserError: no such file, not a checkpoint, or not one of this project.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}: give the path of a .ckpt file.")
    content = _read_tensors(path)
    try:
        card = ModelCard.from_dict(content["card"])
        state = content["state_dict"]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no checkpoint of yolov9_lit (it lacks {error}): "
            "give one that yolov9_lit.train wrote."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} needs a newer yolov9_lit: {error}.") from error
    weights = {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
    return Checkpoint(card, weights)


def _read_tensors(path: Path) -> Any:
    """What a torch file holds, if that is tensors and plain containers."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
    except (LookupError, ValueError, TypeError, AttributeError):  # bytes that are no pickle at all
        reason = "it is no file of torch.save"
    raise UserError(f"{path} cannot be read as a checkpoint: {reason}.")


def build_detector(card: ModelCard) -> Detector:
    """Build a card's detector with fresh weights.

    Raises:
        UserError: the card names a constructor that is not there or builds no part of a model, or
            a constructor refused a value.
    """
    for target in _targets(card.model):
        _check_target(target)
    return build(card.model)


def load_detector(checkpoint: Checkpoint, source: str | Path) -> Detector:
    """Build a checkpoint's detector and load its weights, all of them.

    Args:
        checkpoint: what `read_checkpoint` gave.
        source: its path, for messages.

    Raises:
        UserError: weights and model do not fit together.
    """
    detector = build_detector(checkpoint.card)
    load_weights(detector, checkpoint.weights, source)
    return detector.eval()


def load_weights(detector: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Load all weights or none.

    Raises:
        UserError: a tensor is missing, left over or of another shape; the first one is named.
    """
    own = detector.state_dict()
    missing = [name for name in own if name not in weights]
    extra = [name for name in weights if name not in own]
    unequal = [n for n in own if n in weights and own[n].shape != weights[n].shape]
    if not (missing or extra or unequal):
        detector.load_state_dict(dict(weights))
        return
    example = (missing + extra + unequal)[0]
    raise UserError(
        f"The weights in {source} are those of another model: {len(missing)} tensors missing, "
        f"{len(extra)} left over, {len(unequal)} of another shape (first: {example})."
    )


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for child in node.values():
            yield from _targets(child)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _targets(child)


def _check_target(target: str) -> None:
    """A checkpoint may only name model parts: this package's, or a user's `nn.Module` classes."""
    if target.startswith("yolov9_lit.models."):
        return
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"The checkpoint's model needs {target}, which cannot be imported here: "
            "put its module on PYTHONPATH."
        ) from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UserError(f"The checkpoint names {target} as a model part, which it is not; refused.")
