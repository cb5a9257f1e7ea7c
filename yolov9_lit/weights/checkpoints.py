"""Read checkpoints: this project's, deployed ones and published ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.errors import InstantiationException
from torch import Tensor, nn

from yolov9_lit.building import build
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.models.detector import Detector
from yolov9_lit.weights.card import PREFIX, ModelCard
from yolov9_lit.weights.deployed import SUFFIX, read_deployed
from yolov9_lit.weights.parts import check_model
from yolov9_lit.weights.published import recognise
from yolov9_lit.weights.unpickling import read_torch_file

EXPORTED = (".onnx", ".xml", ".torchscript", ".pt2")
"""Endings of exported files, to name them in messages; `inference.exported` opens them."""

_GIVE = "give one that yolov9_lit.train wrote"


class Checkpoint(NamedTuple):
    """A checkpoint's card and the weights of its detector (their moving average if it has one).

    Attributes:
        card: structure, classes and preprocessing.
        weights: tensors by the names in the detector's state dict.
        deployed: the weights are those of `Detector.deploy`.
    """

    card: ModelCard
    weights: dict[str, Tensor]
    deployed: bool = False


def is_exported(path: str | Path) -> bool:
    """Tell whether a path has the ending of an exported file."""
    return Path(path).suffix in EXPORTED


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of this project or a published one; nothing in the file is executed.

    Raises:
        UserError: the file does not exist, is no checkpoint (an exported file, for example), or
            holds an unknown model or weights that are not finite.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the path of a .ckpt file.")
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}: give the path of a .ckpt file.")
    if is_exported(path):
        raise UserError(
            f"{path} is exported, for predict and eval only: give the checkpoint it was made from."
        )
    checkpoint = _read(path)
    broken = [n for n, tensor in checkpoint.weights.items() if not tensor.isfinite().all()]
    if broken:
        raise UserError(
            f"{path} has weights that are not finite ({first_few(broken)}), its training diverged: "
            "give an earlier checkpoint, or train again with a lower optimizer.lr."
        )
    return checkpoint


def _read(path: Path) -> Checkpoint:
    if path.suffix == SUFFIX:
        return _with_card(*read_deployed(path), path, deployed=True)
    content = read_torch_file(path)
    if isinstance(content, Mapping) and "card" in content:
        return _with_card(content["card"], content.get("state_dict"), path)
    if (found := recognise(content, path)) is None:
        raise UserError(
            f"{path} is neither a checkpoint of yolov9_lit nor a published one of YOLOv9: {_GIVE}."
        )
    return Checkpoint(*found)


def _with_card(card: Any, state: Any, path: Path, deployed: bool = False) -> Checkpoint:
    if not isinstance(card, Mapping) or not isinstance(state, Mapping):
        raise UserError(f"{path} has a card or weights of a wrong type: {_GIVE}.")
    try:
        found = ModelCard.from_dict(card)
    except KeyError as error:
        raise UserError(f"{path} has a card without {error}: {_GIVE}.") from error
    except TypeError as error:
        raise UserError(f"{path} has an invalid card ({error}): {_GIVE}.") from error
    except ValueError as error:
        raise UserError(f"{path} needs a newer yolov9_lit: {error}.") from error
    weights = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in state.items()
        if isinstance(name, str) and name.startswith(PREFIX) and isinstance(tensor, Tensor)
    }
    return Checkpoint(found, weights, deployed)


def build_detector(card: ModelCard) -> Detector:
    """Build a card's detector with fresh weights.

    Raises:
        UserError: the card's model is refused by `check_model` or by a constructor.
    """
    check_model(card.model)
    detector = build(card.model)
    if not isinstance(detector, Detector):
        raise UserError(
            f"The checkpoint's model is a {type(detector).__name__}, no detector: {_GIVE}."
        )
    return detector


def load_detector(checkpoint: Checkpoint, source: str | Path) -> Detector:
    """Build a checkpoint's detector in evaluation mode and load all of its weights.

    Args:
        checkpoint: what `read_checkpoint` returned.
        source: its path, for messages.

    Raises:
        UserError: the card's model cannot be built, or the weights do not fit it.
    """
    with torch.device("meta"):  # A small file takes no more memory than its own weights do.
        _check_fit(_form(checkpoint, source), checkpoint.weights, source)
    detector = _form(checkpoint, source)
    detector.load_state_dict(checkpoint.weights)
    return detector.eval()


def _form(checkpoint: Checkpoint, source: str | Path) -> Detector:
    """Build the detector in the form that the weights are of.

    Raises:
        UserError: it cannot be built, or finds other keypoints than the card says.
    """
    try:
        detector = build_detector(checkpoint.card)
    except InstantiationException as error:  # Of a model that no config here describes.
        raise UserError(
            f"{source} describes a model that cannot be built ({error.__cause__!r:.200}): {_GIVE}."
        ) from error
    names = checkpoint.card.keypoints.names if checkpoint.card.keypoints else ()
    if detector.head.num_keypoints != len(names):
        raise UserError(
            f"{source} finds {detector.head.num_keypoints} keypoints of an object and has names "
            f"of {len(names)}: {_GIVE}."
        )
    return detector.deploy() if checkpoint.deployed else detector


def _check_fit(detector: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Refuse weights of which a tensor is missing, left over or of another shape or kind.

    Raises:
        UserError: there are such; the first is named.
    """
    own = detector.state_dict()
    missing = [name for name in own if name not in weights]
    extra = [name for name in weights if name not in own]
    both = [name for name in own if name in weights]
    unequal = [n for n in both if own[n].shape != weights[n].shape or weights[n].is_complex()]
    if example := next(iter(missing + extra + unequal), None):
        raise UserError(
            f"The weights in {source} are those of another model: {len(missing)} tensors missing, "
            f"{len(extra)} left over, {len(unequal)} of another shape or kind (first: {example}): "
            f"{_GIVE}."
        )
