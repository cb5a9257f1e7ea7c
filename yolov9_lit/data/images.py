"""Image files: where a data set's come from, and how they become 8-bit RGB arrays."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple, Protocol

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, SAMPLESPERPIXEL, ImageFileDirectory_v2

from yolov9_lit.data.quiet import no_lines_of_libraries, opencv_log_level, quiet_pillow
from yolov9_lit.errors import UserError

# What is wrong with an image is told by us.
opencv_log_level(0)
quiet_pillow()

_EXIF_ORIENTATION = 0x0112
_TURNED = range(2, 9)  # Orientations other than upright; the later ones swap the sides.
_SIDES_SWAPPED = range(5, 9)
_BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_LFS_POINTER = b"version https://git-lfs"
_FLOATS = (b"PF", b"Pf", b"#?")  # First bytes of PFM and Radiance files.
_MODES = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff"),
    *(".gif", ".avif", ".jp2", ".j2k", ".mpo", ".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".qoi"),
)
"""Endings of image files' names, in lower case; their content may be of another kind."""

REDUCTIONS = tuple(_MODES)[1:]
"""Factors by which an image can be made smaller while it is decoded."""


class UnreadableImage(UserError):
    """An image that is missing or cannot be used.

    Attributes:
        name: its path.
        fault: what is wrong, in a few words.
    """

    def __init__(self, name: str, fault: str, remedy: str) -> None:
        super().__init__(f"image {name} {fault}: {remedy}.")
        self.name = name
        self.fault = fault


def has_image_ending(path: PurePath) -> bool:
    """Tell whether a file's name is an image's; capitals are as good as small letters."""
    return path.suffix.lower() in IMAGE_ENDINGS


def read_image(path: Path) -> np.ndarray:
    """Read an image file; see `decode_image`.

    Raises:
        UnreadableImage: the file is missing or cannot be decoded.
    """
    return decode_image(read_encoded(path), str(path))


def read_encoded(path: Path) -> bytes:
    """Read the content of an image file.

    Raises:
        UnreadableImage: the file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
        raise UnreadableImage(str(path), fault, "check the path") from error


def decode_image(encoded: bytes, name: str, reduction: int = 1) -> np.ndarray:
    """Decode an image upright, as EXIF says, in 8-bit RGB: (H, W, 3) uint8.

    Grey, palette and CMYK images become RGB, transparency is dropped (not blended), of 16 bits
    the upper 8 are kept, of an animation the first frame. Pillow decodes what OpenCV cannot. From
    memory, unlike from a file, OpenCV refuses images that are cut short.

    Args:
        encoded: the file's content.
        name: for messages.
        reduction: 1, or one of `REDUCTIONS`: give (H / reduction, W / reduction), rounded up.

    Raises:
        UnreadableImage: it cannot be decoded.
    """
    try:
        pixels = None
        if not encoded.startswith(_FLOATS):  # OpenCV would cut off what is above 1.
            with no_lines_of_libraries():
                pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), _MODES[reduction])
    except cv2.error:  # An empty file, or more pixels than OpenCV allows.
        pixels = None
    if pixels is None:
        return _decode_with_pillow(encoded, name)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def encode_image(pixels: np.ndarray, ending: str, quality: int = 95) -> bytes:
    """Return the content of a file of an image (H, W, 3) uint8 RGB.

    Args:
        pixels: of the image.
        ending: of the file: ".jpg", or that of a format without loss.
        quality: of JPEG, 0..100.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if ending == ".jpg" else []
    return bytes(cv2.imencode(ending, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)[1])


def image_size(source: Path | BinaryIO) -> tuple[int, int] | None:
    """Read from the header the height and width that `read_image` gives; None without one."""
    header = read_header(source)
    return (header.height, header.width) if header else None


class Header(NamedTuple):
    """The height and width of an image, upright, and whether EXIF had to turn it for that."""

    height: int
    width: int
    turned: bool


def read_header(source: Path | BinaryIO) -> Header | None:
    """Read what an image's header says; None without one."""
    try:
        with Image.open(source) as image:
            width, height = image.size
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except _BROKEN:
        return None
    sides = (width, height) if orientation in _SIDES_SWAPPED else (height, width)
    return Header(*sides, turned=orientation in _TURNED)


def _decode_with_pillow(encoded: bytes, name: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return rgb_pixels(image, name)
    except _BROKEN as error:
        fault = _fault(encoded, error)
        raise UnreadableImage(name, fault, "replace it or leave it out") from error


def rgb_pixels(image: Image.Image, name: str) -> np.ndarray:
    """Return what `decode_image` gives of a Pillow image: (H, W, 3) uint8 RGB.

    Args:
        image: of any mode.
        name: for messages.

    Raises:
        UnreadableImage: its samples have more than 16 bits, of which no range is known.
        ValueError: Pillow cannot make RGB of its mode.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnreadableImage(name, "has samples of over 16 bits", "save it with 8 bits")
    return np.array(image.convert("RGB"))


def _fault(encoded: bytes, error: Exception) -> str:
    if not encoded:
        return "is empty"
    if encoded.startswith(_LFS_POINTER):
        return "is Git LFS's stand-in for an image that is not fetched"
    if isinstance(error, Image.DecompressionBombError):
        return "has too many pixels"
    if not isinstance(error, UnidentifiedImageError):
        return "is damaged"
    return _tiff_fault(encoded) or "is no image of a known kind"


def _tiff_fault(encoded: bytes) -> str:
    """Say what a TIFF's samples are, as of several bands or of a measurement; "" of others."""
    try:
        tags = ImageFileDirectory_v2(encoded[:8])
        file = io.BytesIO(encoded)
        file.seek(tags.next)
        tags.load(file)
        channels, bits = int(tags.get(SAMPLESPERPIXEL, 1)), int(tags[BITSPERSAMPLE][0])
    except (*_BROKEN, KeyError, TypeError, IndexError, struct.error):
        return ""
    return f"is a TIFF of {channels} channels of {bits} bits, not of 1, 3 or 4 of 8 or 16"


class ImageSource(Protocol):
    """Encoded images by index; the same from every worker."""

    def name(self, index: int) -> str:
        """Return where the image lies, for messages and records."""
        ...

    def encoded(self, index: int) -> bytes:
        """Return the file's content.

        Raises:
            UnreadableImage: it is missing or cannot be read.
        """
        ...


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images in a folder.

    Attributes:
        folder: that the names start from.
        names: (N,) str.
    """

    folder: Path
    names: np.ndarray

    def name(self, index: int) -> str:
        """Return the file's path."""
        return str(self.folder / str(self.names[index]))

    def also_in(self, other: ImageFiles) -> list[str]:
        """Return the names of those that are files of another's, too, also by links.

        Files of different names are not compared: `data check` does, by what is in them.
        """
        ends = {_file_name(name) for name in map(str, self.names)}
        there = [name for name in map(str, other.names) if _file_name(name) in ends]
        ends = {*map(_file_name, there)}  # Few of COCO's files have to be looked at.
        theirs = {_identity(os.path.join(other.folder, name)) for name in there} - {None}
        own = [name for name in map(str, self.names) if _file_name(name) in ends]
        return [n for n in own if _identity(os.path.join(self.folder, n)) in theirs]

    def encoded(self, index: int) -> bytes:
        """Return the file's content; see `ImageSource`."""
        return read_encoded(Path(self.name(index)))


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells a file from others, whatever its path; None of none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def load_image(images: ImageSource, index: int) -> np.ndarray:
    """Read and decode an image: (H, W, 3) uint8 RGB, upright.

    Raises:
        UnreadableImage: it is missing or cannot be decoded.
    """
    return decode_image(images.encoded(index), images.name(index))


def check_size(image: np.ndarray, size: np.ndarray, name: str) -> None:
    """Refuse an image of another size than its annotations say.

    Args:
        image: (H, W, 3).
        size: (2,), the height and width that its annotations say.
        name: of the image.

    Raises:
        UnreadableImage: it has another size.
    """
    if image.shape[:2] != tuple(size):
        fault = "has another height and width than its annotations say"
        raise UnreadableImage(name, fault, "correct them")
