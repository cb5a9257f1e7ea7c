"""The images that figures are drawn of: the user's own, or a data set's with their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.images import UnreadableImage, load_image
from yolov9_lit.errors import UserError
from yolov9_lit.inference.source import open_source
from yolov9_lit.weights.card import ModelCard


class Subject(NamedTuple):
    """An image that a figure is drawn of.

    Attributes:
        name: its file's, without folder and ending.
        image: (H, W, 3) uint8 RGB.
        boxes: (G, 4) float32 xyxy in the image's pixels; none of an image that a user brings.
        labels: (G,) int64, class indices.
    """

    name: str
    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def read_subjects(
    image: str | Sequence[str] | None, data: DetectionDataModule, count: int
) -> list[Subject]:
    """Read the images of a figure.

    Args:
        image: files, folders or globs; None for the first validation images of `data`.
        data: read where no image is given.
        count: most images.

    Raises:
        UserError: nothing is there, or nothing can be read.
    """
    return _validation_images(data, count) if image is None else _own_images(image, count)


def listed(given: str | Sequence[str] | None) -> list[str]:
    """Return what a setting names, one thing or several; nothing for null."""
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(given)


def require_classes(file: str, card: ModelCard, data: DetectionDataModule) -> None:
    """Refuse a checkpoint that was trained on other classes than the data's, once these are read.

    Raises:
        UserError: so it is.
    """
    if tuple(card.class_names) != tuple(data.class_names):
        raise UserError(
            f"{file} knows other classes than {data.root}: give the data it was trained on."
        )


def checkpoint_names(files: Sequence[str]) -> list[str]:
    """Return a short name for each checkpoint: of its run, numbered if there are several."""
    places = [Path(file).resolve() for file in files]
    runs = [p.parts[-3] if p.parent.name == "checkpoints" else p.stem for p in places]
    return [f"{i}-{run}" if len(files) > 1 else run for i, run in enumerate(runs, start=1)]


def _own_images(image: str | Sequence[str], count: int) -> list[Subject]:
    frames = (frame for source in listed(image) for frame in open_source(source))
    found = [
        Subject(frame.path.stem, frame.image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        for frame in islice(frames, count)
    ]
    if not found:
        raise UserError(f"Nothing at image={image} can be read: give images.")
    return found


def _validation_images(data: DetectionDataModule, count: int) -> list[Subject]:
    data.setup("validate")
    annotations = data.annotations("val")
    found: list[Subject] = []
    for index in range(len(annotations)):
        if len(found) == count:
            break
        try:
            image = load_image(annotations.images, index)
        except UnreadableImage:
            continue  # The check of the data tells them.
        objects = annotations.objects(index)
        found.append(
            Subject(
                PurePath(annotations.images.name(index)).stem,
                image,
                objects.boxes[~objects.crowd],
                objects.labels[~objects.crowd],
            )
        )
    if not found:
        raise UserError(f"No image of {annotations.path} can be read: give image=FILE.")
    return found
