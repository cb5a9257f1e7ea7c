"""A cache of scaled images on disk: a file each, in a folder named by what they were made of."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.faults import warn_once
from yolov9_lit.data.images import ImageSource
from yolov9_lit.data.scaled import ReadScaled, ScaledImage
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write

log = logging.getLogger(__name__)

_GB = 1 << 30
_VERSION = 1  # Part of the fingerprint; grows when the scaling or the files' layout changes.
_HEADER = np.dtype("<i4")  # h, w, height, width: of the scaled and of the whole image
_HEADER_BYTES = 4 * _HEADER.itemsize


@dataclass(frozen=True, eq=False)
class DiskCache:
    """Keeps the first images of a data set, as many as the limit allows, decoded and scaled.

    Attributes:
        read: gives what is not there.
        folder: of the files.
        kept: number of images to keep.
    """

    read: ReadScaled
    folder: Path
    kept: int

    def __call__(self, index: int) -> ScaledImage:
        """The image; decoded where it is not there, and kept within the limit."""
        if index >= self.kept:
            return self.read(index)
        path = self.folder / f"{index}.rgb"
        image = _load(path)
        if image is None:
            image = self.read(index)
            self._keep(path, image)
        return image

    def _keep(self, path: Path, image: ScaledImage) -> None:
        """A full disk, or a folder that another process deletes, is no reason to end a training."""
        header = np.array([*image.image.shape[:2], *image[1:]], dtype=_HEADER)
        try:
            with atomic_write(path) as part:
                part.write_bytes(header.tobytes() + image.image.tobytes())
        except OSError as error:
            warn_once(f"cache {self.folder} keeps no more images ({error.strerror})")


def open_disk_cache(
    read: ReadScaled, annotations: Annotations, image_size: int, gigabytes: float, folder: Path
) -> DiskCache:
    """Find the cache of these very images at this size, or begin one; earlier ones are deleted.

    Args:
        read: gives the scaled images.
        annotations: of the images.
        image_size: longest side of the scaled images in pixels.
        gigabytes: limit of the files.
        folder: holds the caches of a data set.

    Raises:
        UserError: the folder cannot be written.
    """
    name = f"{annotations.path.stem}-{_owner(annotations.images)}-{image_size}"
    path = folder / f"{name}-{_fingerprint(annotations, image_size)}"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the cache {folder} cannot be written ({error.strerror}); "
            "give data.cache_dir=DIR or data.cache=ram"
        ) from error
    for outdated in set(folder.glob(f"{name}-*")) - {path}:
        log.info("cache %s was made of other images: deleted", outdated)
        shutil.rmtree(outdated, ignore_errors=True)
    kept = _kept(annotations.sizes, image_size, gigabytes)
    log.info("cache %s: %d of %d images at most", path, kept, len(annotations))
    return DiskCache(read, path, kept)


def _fingerprint(annotations: Annotations, image_size: int) -> str:
    """Of the images' names, sizes and times of change, and of how they are scaled."""
    digest = hashlib.sha256(f"{_VERSION} {image_size}".encode())
    digest.update(np.ascontiguousarray(annotations.sizes).tobytes())
    images = annotations.images
    for index in range(len(annotations)):
        name = images.name(index)
        try:
            state = os.stat(name)
            digest.update(f"{name}\0{state.st_size} {state.st_mtime_ns}\0".encode())
        except OSError:  # Missing, or no file of its own.
            digest.update(f"{name}\0".encode())
    return digest.hexdigest()[:16]


def _owner(images: ImageSource) -> str:
    """Tells data sets apart that share a folder: they do not delete each other's images."""
    return hashlib.sha256(os.path.abspath(os.path.dirname(images.name(0))).encode()).hexdigest()[:8]


def _kept(sizes: np.ndarray, image_size: int, gigabytes: float) -> int:
    """How many of the first images fit."""
    scaled = sizes * (image_size / sizes.max(axis=1, keepdims=True))
    filled = np.cumsum(np.ceil(scaled).prod(axis=1) * 3 + _HEADER_BYTES)
    return int(np.searchsorted(filled, gigabytes * _GB, side="right"))


def _load(path: Path) -> ScaledImage | None:
    """A kept image; None where there is none, or not all of it after the machine went down."""
    try:
        content = path.read_bytes()
        h, w, height, width = np.frombuffer(content, _HEADER, 4).tolist()
        image = np.frombuffer(content, np.uint8, offset=_HEADER_BYTES).reshape(h, w, 3)
    except (OSError, ValueError):
        return None
    return ScaledImage(image, height, width)
