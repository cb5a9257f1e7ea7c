"""Where the encoded pictures of a data set come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from yolov9_lit.data.images import UnreadablePicture, decode_image, read_encoded


class PictureSource(Protocol):
    """Encoded pictures by index; the same from every worker."""

    def name(self, index: int) -> str:
        """Where the picture lies, for messages and records."""
        ...

    def encoded(self, index: int) -> bytes:
        """The file's content.

        Raises:
            UnreadablePicture: it is not there or cannot be read.
        """
        ...


@dataclass(frozen=True, eq=False)
class PictureFiles:
    """Pictures in a folder.

    Attributes:
        folder: that the names start from.
        names: (N,) str.
    """

    folder: Path
    names: np.ndarray

    def name(self, index: int) -> str:
        """The file's path."""
        return str(self.folder / str(self.names[index]))

    def encoded(self, index: int) -> bytes:
        """The file's content; see `PictureSource`."""
        return read_encoded(Path(self.name(index)))


def read_picture(pictures: PictureSource, index: int) -> np.ndarray:
    """Reads and decodes a picture: (H, W, 3) uint8 RGB, upright.

    Raises:
        UnreadablePicture: it is not there or no readable picture.
    """
    return decode_image(pictures.encoded(index), pictures.name(index))


def check_size(picture: np.ndarray, size: np.ndarray, name: str) -> None:
    """Refuses a picture that its boxes were not drawn for.

    Args:
        picture: (H, W, 3).
        size: (2,), the height and width that its annotations say.
        name: of the picture.

    Raises:
        UnreadablePicture: it has another size.
    """
    if picture.shape[:2] != tuple(size):
        fault = "has another height and width than its annotations say"
        raise UnreadablePicture(name, fault, "correct them")
