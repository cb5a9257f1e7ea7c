"""A cache of scaled images in memory that all workers of a process share."""

from __future__ import annotations

from multiprocessing import Lock

import numpy as np

from yolov9_lit.data.coco.faults import warn_once
from yolov9_lit.data.scaled import ReadScaled, ScaledImage
from yolov9_lit.data.shared_array import SharedArray
from yolov9_lit.errors import UserError

_GB = 1 << 30
_LOCKS = 16


class RamCache:
    """Keeps images in one piece of memory for all workers, whoever decoded them.

    Where not all have room, a new image takes the place of the oldest one. Memory is taken as it
    fills; where the machine has no more, it keeps what it has.
    """

    def __init__(
        self, read: ReadScaled, count: int, image_size: int, gigabytes: float, spare: int = 0
    ) -> None:
        """Reserve the memory; before the workers start.

        Args:
            read: gives what is not there.
            count: number of images.
            image_size: longest side of the scaled images in pixels.
            gigabytes: limit.
            spare: bytes of shared memory to leave to others.

        Raises:
            UserError: the limit is smaller than an image.
        """
        size = image_size * image_size * 3
        slots = min(int(gigabytes * _GB) // size, count)
        if not slots:
            raise UserError(
                f"data.cache_gb={gigabytes} has no room for an image of {image_size} pixels; "
                "raise it or give data.cache=null"
            )
        self.read = read
        self._holds_all = slots == count
        self._pixels = SharedArray((slots, size), np.uint8, spare)
        self._entries = SharedArray((slots, 5), np.int32)  # image and its sizes
        self._slots = SharedArray((count,), np.int32)
        self._next = SharedArray((1,), np.int64)
        for array in (self._entries, self._slots, self._next):
            array.reserve()
        self._entries.array[:] = self._slots.array[:] = -1
        self._turn = Lock()
        self._locks = [Lock() for _ in range(min(_LOCKS, slots))]

    def __call__(self, index: int) -> ScaledImage:
        """The image, not to be changed; decoded and kept where it is not there."""
        slot = int(self._slots.array[index])
        if slot >= 0 and (found := self._get(slot, index)):
            return found
        scaled = self.read(index)
        self._put(self._next_slot(index), index, scaled)
        return scaled

    def _next_slot(self, index: int) -> int:
        if self._holds_all:
            return index
        with self._turn:
            slot = int(self._next.array[0]) % len(self._entries.array)
            self._next.array[0] += 1
        return slot

    def _get(self, slot: int, index: int) -> ScaledImage | None:
        with self._locks[slot % len(self._locks)]:
            owner, h, w, height, width = self._entries.array[slot].tolist()
            if owner != index:
                return None
            image = self._pixels.array[slot, : h * w * 3].reshape(h, w, 3)
            if not self._holds_all:
                image = image.copy()  # Another worker may overwrite it.
            image.flags.writeable = False
            return ScaledImage(image, height, width)

    def _put(self, slot: int, index: int, scaled: ScaledImage) -> None:
        with self._locks[slot % len(self._locks)]:
            if self._entries.array[slot, 0] < 0 and not self._reserved(slot):
                return
            image = scaled.image
            self._pixels.array[slot, : image.size] = image.ravel()
            self._entries.array[slot] = (index, *image.shape[:2], scaled.height, scaled.width)
            self._slots.array[index] = slot

    def _reserved(self, slot: int) -> bool:
        try:
            self._pixels.reserve(slot)
        except OSError as error:
            warn_once(f"the cache in memory keeps no more images ({error.strerror})")
            return False
        return True
