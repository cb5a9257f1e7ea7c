"""What the checkpoints of a training are to tell of themselves: from its config and its data."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from yolov9_lit.errors import UserError
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import ModelCard, spelled_out


def make_card(model: DictConfig, datamodule: Any) -> ModelCard:
    """Return the card of the model that fits the data.

    Raises:
        UserError: `model.num_classes` is set and is not the data's, or `model.in_channels` is not;
            or only one of model and data has keypoints, or another number of them.
    """
    classes, channels = datamodule.num_classes, datamodule.channels
    if model.get("in_channels", channels) != channels:
        raise UserError(
            f"model.in_channels is {model.in_channels} but the images of {datamodule.root} are "
            f"read with {channels} channels: leave model.in_channels out."
        )
    if model.num_classes not in (None, classes):
        raise UserError(
            f"model.num_classes is {model.num_classes} but the data in {datamodule.root} has "
            f"{classes} classes: leave model.num_classes out."
        )
    config = OmegaConf.to_container(model, resolve=True)
    assert isinstance(config, dict)
    config["num_classes"] = classes
    if layout := _keypoints(model, datamodule):
        config["head"]["keypoints"] = len(layout.names)
    return ModelCard(
        model=spelled_out(config),
        class_names=tuple(datamodule.class_names),
        category_ids=tuple(c.id for c in datamodule.categories),
        image_size=datamodule.batches.image_size,
        keypoints=layout,
    )


def _keypoints(model: DictConfig, datamodule: Any) -> KeypointLayout | None:
    """Return what the keypoints are that the model learns, if any.

    Raises:
        UserError: only one of model and data has some, or another number of them.
    """
    layout: KeypointLayout | None = datamodule.keypoints
    finds = "keypoints" in (model.get("head") or {})
    if finds != (layout is not None):
        which, other = "model.head finds", "data.keypoints asks for"
        if layout:
            which, other = other, which
        raise UserError(f"{which} keypoints, but {other} none: give task=pose, or task=detect.")
    if layout and model.head.keypoints not in (None, len(layout.names)):
        raise UserError(
            f"model.head.keypoints is {model.head.keypoints} but the data in {datamodule.root} has "
            f"{len(layout.names)} keypoints: leave model.head.keypoints out."
        )
    return layout
