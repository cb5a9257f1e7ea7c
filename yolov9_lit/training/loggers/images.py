"""What a logger does that takes images, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple, Protocol, runtime_checkable

import lightning as L
import numpy as np


class LoggedImage(NamedTuple):
    """An image to be shown.

    Attributes:
        name: the same whenever this image is logged under a key, and no other's.
        pixels: (H, W, 3) uint8 RGB.
        caption: what it shows, one line.
    """

    name: str
    pixels: np.ndarray
    caption: str


@runtime_checkable
class ImageLogger(Protocol):
    """A logger that takes images: any class with this method."""

    def log_images(
        self, key: str, images: Sequence[LoggedImage], step: int, epoch: int | None = None
    ) -> None:
        """Show images together.

        Args:
            key: "val/images" and so on.
            images: at least one.
            step: as for figures.
            epoch: in which they are made, counted from 0; None for what is logged once.
        """
        ...


def sheet_name(key: str, epoch: int | None) -> str:
    """Return the file of images logged together: `val_images_0003.png` for epoch 3."""
    return key.replace("/", "_") + ("" if epoch is None else f"_{epoch:04d}") + ".png"


def image_loggers(trainer: L.Trainer) -> list[ImageLogger]:
    """Return those of a trainer's loggers that take images; none but on the first rank."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, ImageLogger)]


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Return the files' names, with a number where several files have the same."""
    names = [PurePath(path).name for path in paths]
    earlier = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{name} ({n + 1})" if n else name for name, n in zip(names, earlier, strict=True)]
