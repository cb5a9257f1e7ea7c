"""What the checkpoints of a training are to tell of themselves: from its config and its data."""

from __future__ import annotations

import logging
from typing import Any

from omegaconf import DictConfig, OmegaConf

from yolov9_lit.data.anchor_sizes import find_anchor_sizes
from yolov9_lit.errors import UserError
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import ModelCard, spelled_out

log = logging.getLogger(__name__)


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
    if (config.get("head") or {}).get("anchors") == "auto":
        config["head"]["anchors"] = _anchors(datamodule)
    if layout := _keypoints(model, datamodule):
        config["head"]["keypoints"] = len(layout.names)
    return ModelCard(
        model=spelled_out(config),
        class_names=tuple(datamodule.class_names),
        category_ids=tuple(c.id for c in datamodule.categories),
        image_size=datamodule.batches.image_size,
        keypoints=layout,
        choice=datamodule.choice,
    )


def _anchors(datamodule: Any) -> list[list[list[int]]]:
    """Return anchors that fit the training boxes.

    Raises:
        UserError: there are none.
    """
    try:
        found = find_anchor_sizes(datamodule.annotations("train"), datamodule.batches.image_size)
    except ValueError as error:
        raise UserError(f"{error}: give model.head.anchors.") from error
    log.info(
        "Anchors for the training boxes at %d pixels: %s; %.1f %% of the boxes have one that fits",
        *(datamodule.batches.image_size, found.by_level, 100 * found.reached),
    )
    return found.by_level


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
