"""A cache of scaled pictures in memory that all workers of a process share."""

from __future__ import annotations

import math
from multiprocessing import Lock
from multiprocessing.heap import BufferWrapper
from typing import Any

import numpy as np

from yolov9_lit.data.scaled import ReadScaled, ScaledPicture
from yolov9_lit.errors import UserError

_GB = 1 << 30
_LOCKS = 16


class RamCache:
    """Keeps pictures in one piece of memory for all workers, whoever decoded them.

    Where not all have room, a new picture takes the place of the oldest one. Memory is taken as it
    fills.
    """

    def __init__(self, read: ReadScaled, count: int, image_size: int, gigabytes: float) -> None:
        """Reserve the memory; before the workers start.

        Args:
            read: gives what is not there.
            count: number of pictures.
            image_size: longest side of the scaled pictures in pixels.
            gigabytes: limit.

        Raises:
            UserError: the limit is smaller than a picture.
        """
        size = image_size * image_size * 3
        slots = min(int(gigabytes * _GB) // size, count)
        if not slots:
            raise UserError(
                f"data.cache_gb={gigabytes} has no room for a picture of {image_size} pixels; "
                "raise it or give data.cache=null"
            )
        self.read = read
        self._holds_all = slots == count
        self._pixels = _SharedArray((slots, size), np.uint8)
        self._entries = _SharedArray((slots, 5), np.int32)  # picture and its sizes
        self._slots = _SharedArray((count,), np.int32)
        self._next = _SharedArray((1,), np.int64)
        self._entries.array[:] = self._slots.array[:] = -1
        self._turn = Lock()
        self._locks = [Lock() for _ in range(min(_LOCKS, slots))]

    def __call__(self, index: int) -> ScaledPicture:
        """The picture, not to be changed; decoded and kept where it is not there."""
        slot = int(self._slots.array[index])
        if slot >= 0 and (found := self._get(slot, index)):
            return found
        picture = self.read(index)
        self._put(self._next_slot(index), index, picture)
        return picture

    def _next_slot(self, index: int) -> int:
        if self._holds_all:
            return index
        with self._turn:
            slot = int(self._next.array[0]) % len(self._entries.array)
            self._next.array[0] += 1
        return slot

    def _get(self, slot: int, index: int) -> ScaledPicture | None:
        with self._locks[slot % len(self._locks)]:
            picture, h, w, height, width = self._entries.array[slot].tolist()
            if picture != index:
                return None
            image = self._pixels.array[slot, : h * w * 3].reshape(h, w, 3)
            if not self._holds_all:
                image = image.copy()  # Another worker may overwrite it.
            image.flags.writeable = False
            return ScaledPicture(image, height, width)

    def _put(self, slot: int, index: int, picture: ScaledPicture) -> None:
        with self._locks[slot % len(self._locks)]:
            image = picture.image
            self._pixels.array[slot, : image.size] = image.ravel()
            self._entries.array[slot] = (index, *image.shape[:2], picture.height, picture.width)
            self._slots.array[index] = slot


class _SharedArray:
    """An array in memory that is shared with processes started later, by fork or spawn.

    The standard library keeps it in /dev/shm, or in a file where that is too small.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: type[np.generic], buffer: BufferWrapper | None = None
    ) -> None:
        self._form = (shape, dtype)
        self._buffer = buffer or BufferWrapper(math.prod(shape) * np.dtype(dtype).itemsize)
        flat = np.frombuffer(self._buffer.create_memoryview(), dtype, math.prod(shape))
        self.array = flat.reshape(shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self._form, self._buffer)
