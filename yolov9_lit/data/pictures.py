"""Where the encoded pictures of a data set come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from yolov9_lit.data.images import decode_image, read_encoded


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
