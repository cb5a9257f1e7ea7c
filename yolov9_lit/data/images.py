"""Pictures read as 8-bit RGB, whatever their file holds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from yolov9_lit.errors import UserError

_EXIF_ORIENTATION = 0x0112
_SIDES_SWAPPED = 5  # Orientations from this one on turn the picture by 90 degrees.
_BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def read_image(path: Path) -> np.ndarray:
    """Reads a picture upright, as EXIF says, in 8-bit RGB: (H, W, 3) uint8.

    Grey, palette and CMYK pictures become RGB, transparency is dropped (not blended), of 16 bits
    the upper 8 are kept. What OpenCV cannot decode is left to Pillow.

    Raises:
        UserError: the file is missing or no readable picture.
    """
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise UserError(f"picture {path} cannot be read ({error.strerror})") from error
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # An empty file, or more pixels than OpenCV allows.
        pixels = None
    if pixels is None:
        return _read_with_pillow(path)
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


def _read_with_pillow(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise UserError(f"picture {path} has samples of over 8 bits; save it with 8 bits")
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except _BROKEN as error:
        reason = f"{path} is damaged or no picture; replace it or take it out of the annotations"
        raise UserError(reason) from error
