"""Pictures read as 8-bit RGB, whatever their file holds."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from yolov9_lit.errors import UserError

_EXIF_ORIENTATION = 0x0112
_SIDES_SWAPPED = 5  # Orientations from this one on turn the picture by 90 degrees.
_BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_MODES = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
"""What the names of pictures end in, in small letters; their content may be of another kind."""

REDUCTIONS = (2, 4, 8)
"""By what a picture can be made smaller while it is decoded."""


class UnreadablePicture(UserError):
    """A picture that is not there or cannot be decoded.

    Attributes:
        name: its path.
        fault: what is wrong, in a few words.
    """

    def __init__(self, name: str, fault: str, remedy: str) -> None:
        super().__init__(f"picture {name} {fault}; {remedy}")
        self.name = name
        self.fault = fault


def read_image(path: Path) -> np.ndarray:
    """Reads a picture file; see `decode_image`.

    Raises:
        UnreadablePicture: the file is missing or no readable picture.
    """
    return decode_image(read_encoded(path), str(path))


def read_encoded(path: Path) -> bytes:
    """The content of a picture file.

    Raises:
        UnreadablePicture: the file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
        raise UnreadablePicture(str(path), fault, "check the path") from error


def decode_image(encoded: bytes, name: str, reduction: int = 1) -> np.ndarray:
    """Decodes a picture upright, as EXIF says, in 8-bit RGB: (H, W, 3) uint8.

    Grey, palette and CMYK pictures become RGB, transparency is dropped (not blended), of 16 bits
    the upper 8 are kept, of an animation the first frame. What OpenCV cannot decode is left to
    Pillow. From memory, unlike from a file, OpenCV refuses pictures that are cut short.

    Args:
        encoded: the file's content.
        name: for messages.
        reduction: 1, or one of `REDUCTIONS`: give (H / reduction, W / reduction), rounded up.

    Raises:
        UnreadablePicture: it is no readable picture.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), _MODES[reduction])
    except cv2.error:  # An empty file, or more pixels than OpenCV allows.
        pixels = None
    if pixels is None:
        return _decode_with_pillow(encoded, name)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def picture_size(path: Path) -> tuple[int, int] | None:
    """Height and width that `read_image` would give, from the header; None where it has none."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(_EXIF_ORIENTATION, 1) >= _SIDES_SWAPPED
    except _BROKEN:
        return None
    return (width, height) if turned else (height, width)


def _decode_with_pillow(encoded: bytes, name: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(encoded)) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I;16"):
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if picture.mode in ("I", "F"):
                raise UnreadablePicture(name, "has samples of over 16 bits", "save it with 8 bits")
            return np.array(picture.convert("RGB"))
    except _BROKEN as error:
        fault = _fault(encoded, error)
        raise UnreadablePicture(name, fault, "replace it or leave it out") from error


def _fault(encoded: bytes, error: Exception) -> str:
    if not encoded:
        return "is empty"
    if isinstance(error, Image.DecompressionBombError):
        return "has too many pixels"
    return "is no picture" if isinstance(error, UnidentifiedImageError) else "is damaged"
