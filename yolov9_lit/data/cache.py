"""Training images decoded and scaled, and a cache of them that all workers share."""

from __future__ import annotations

import io
import math
import mmap
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Lock, Value
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.coco.faults import warn_once
from yolov9_lit.data.images import REDUCTIONS, ImageSource, check_size, decode_image, image_size
from yolov9_lit.data.letterbox import resize_longest
from yolov9_lit.errors import UserError

_GB = 1 << 30
_LOCKS = 16
_MEMORY = Path("/dev/shm")


class ScaledImage(NamedTuple):
    """An image scaled to the training size.

    Attributes:
        image: (h, w, 3) uint8 RGB, its longest side the training size.
        height: of the image in its file, in pixels.
        width: of the image in its file, in pixels.
    """

    image: np.ndarray
    height: int
    width: int


ReadScaled = Callable[[int], ScaledImage]
"""Gives the scaled image of an index."""


@dataclass(frozen=True, eq=False)
class ScaledImages:
    """Decodes and scales on each call.

    Images at least twice as large as needed are decoded at half, a quarter or an eighth of their
    size, which JPEG files allow in a fraction of the time.

    Attributes:
        images: of a data set.
        sizes: (N, 2), their heights and widths as the annotations say.
        image_size: longest side of the result in pixels.
    """

    images: ImageSource
    sizes: np.ndarray
    image_size: int

    def __call__(self, index: int) -> ScaledImage:
        """Read an image.

        Raises:
            UnreadableImage: it is missing, cannot be decoded, or has another size than annotated.
        """
        encoded, name = self.images.encoded(index), self.images.name(index)
        height, width = self.sizes[index].tolist()
        fits = [r for r in REDUCTIONS if max(height, width) >= r * self.image_size]
        reduction = max(fits, default=1)
        if reduction > 1 and image_size(io.BytesIO(encoded)) != (height, width):
            reduction = 1  # Made smaller, another size may round to the same.
        image = decode_image(encoded, name, reduction)
        if reduction > 1 and image.shape[:2] != (-(-height // reduction), -(-width // reduction)):
            reduction = 1  # No JPEG: it rounds otherwise.
            image = decode_image(encoded, name)
        if reduction == 1:
            check_size(image, self.sizes[index], name)
        return ScaledImage(resize_longest(image, self.image_size, smooth=False), height, width)


def free_memory() -> int | None:
    """Return the bytes of memory that processes can share, None where the system cannot tell."""
    try:
        state = os.statvfs(_MEMORY)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


class SharedArray:
    """An array of zeros in a nameless file, shared with processes started later by fork or spawn.

    Reserve a row before writing to it: where the folder has no room, writing kills the process.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: type[np.generic],
        folder: str | Path | None = None,
        file: Any = None,
    ) -> None:
        """Make the array in a file of a folder, or map `file` that another process sent (`DupFd`).

        Raises:
            OSError: the folder cannot be written.
        """
        self._form = (shape, dtype)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if file is None:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            self._file.truncate(size)
        else:
            self._file = os.fdopen(file.detach(), "r+b")
        self.array = np.frombuffer(mmap.mmap(self._file.fileno(), size), dtype).reshape(shape)

    def reserve(self, row: int | None = None) -> None:
        """Take the room of a row, or of all; some systems only take it as it is written.

        Raises:
            OSError: there is no room.
        """
        size = self.array[0].nbytes if row is not None else self.array.nbytes
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), (row or 0) * size, size)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self._form, None, DupFd(self._file.fileno()))


class ImageCache:
    """Keeps scaled images for all workers, whoever decoded them, in memory or in a file on disk.

    Where not all have room, a new image takes the place of the oldest one. Room is taken as the
    cache fills; where there is no more, it keeps what it has.
    """

    def __init__(
        self,
        read: ReadScaled,
        count: int,
        image_size: int,
        gigabytes: float,
        *,
        folder: Path | None = None,
        spare: int = 0,
    ) -> None:
        """Make the empty cache; before the workers start.

        Args:
            read: gives the images that are not cached.
            count: number of images.
            image_size: longest side of the scaled images in pixels.
            gigabytes: limit.
            folder: on disk, for a file that is deleted when the run ends; None for memory.
            spare: bytes of shared memory to leave to others.

        Raises:
            UserError: the limit is smaller than an image, or the folder cannot be written.
        """
        size = image_size * image_size * 3
        slots = min(int(gigabytes * _GB) // size, count)
        if not slots:
            raise UserError(
                f"data.cache_gb={gigabytes} has no room for an image of {image_size} pixels: "
                "raise it, or give data.cache=null."
            )
        self.read = read
        self._holds_all = slots == count
        memory = _memory_folder(spare + (0 if folder else slots * size))
        try:
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
            self._pixels = SharedArray((slots, size), np.uint8, folder or memory)
            self._entries = SharedArray((slots, 5), np.int32, memory)  # image and its sizes
            self._slots = SharedArray((count,), np.int32, memory)
            self._entries.reserve()
            self._slots.reserve()
        except OSError as error:
            raise UserError(
                f"The image cache cannot be written to {folder or memory} ({error.strerror}): "
                "make room, or give data.cache=null or another data.cache_dir."
            ) from error
        self._entries.array[:] = self._slots.array[:] = -1
        self._filled = Value("q", 0)  # how many images have been given a slot
        self._locks = [Lock() for _ in range(min(_LOCKS, slots))]

    def __call__(self, index: int) -> ScaledImage:
        """Return the image, read-only; decode and keep it where it is not cached."""
        slot = int(self._slots.array[index])
        if slot >= 0 and (found := self._get(slot, index)):
            return found
        scaled = self.read(index)
        self._put(self._next_slot(index), index, scaled)
        return scaled

    def _next_slot(self, index: int) -> int:
        if self._holds_all:
            return index
        with self._filled.get_lock():
            slot = self._filled.value % len(self._entries.array)
            self._filled.value += 1
        return slot

    def _get(self, slot: int, index: int) -> ScaledImage | None:
        with self._locks[slot % len(self._locks)]:
            owner, h, w, height, width = self._entries.array[slot].tolist()
            if owner != index:
                return None
            image = self._pixels.array[slot, : h * w * 3].reshape(h, w, 3)
            if not self._holds_all:
                image = image.copy()  # Another worker may overwrite the slot.
            image.flags.writeable = False
            return ScaledImage(image, height, width)

    def _put(self, slot: int, index: int, scaled: ScaledImage) -> None:
        with self._locks[slot % len(self._locks)]:
            if self._entries.array[slot, 0] < 0:
                try:
                    self._pixels.reserve(slot)
                except OSError as error:
                    warn_once(f"The image cache keeps no more images ({error.strerror}).")
                    return
            image = scaled.image
            self._pixels.array[slot, : image.size] = image.ravel()
            self._entries.array[slot] = (index, *image.shape[:2], scaled.height, scaled.width)
            self._slots.array[index] = slot


def _memory_folder(size: int) -> str:
    """Return the folder in memory, or the system's temporary one where `size` bytes do not fit."""
    free = free_memory()
    return str(_MEMORY) if free is not None and free >= size else tempfile.gettempdir()
