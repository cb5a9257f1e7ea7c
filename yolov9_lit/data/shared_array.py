"""Arrays in memory that processes share."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import numpy as np

_MEMORY = Path("/dev/shm")


def free_memory() -> int | None:
    """Bytes that are free for processes to share; None where the system has no such place."""
    try:
        state = os.statvfs(_MEMORY)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


class SharedArray:
    """An array that is shared with processes started later, by fork or spawn.

    It lies in a file without a name: in memory, or on disk where that has no room for it. Writing
    to what has not been reserved kills the process where neither has room.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: type[np.generic],
        spare: int = 0,
        file: Any = None,
    ) -> None:
        """Make it, zeros.

        Args:
            shape: of the array.
            dtype: of its numbers.
            spare: bytes of memory to leave to others.
            file: of an array that is there, from another process (`DupFd`).
        """
        self._form = (shape, dtype, spare)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if file is None:
            self._file = tempfile.TemporaryFile(dir=_folder(size + spare))  # noqa: SIM115
            self._file.truncate(size)
        else:
            self._file = os.fdopen(file.detach(), "r+b")
        self.array = np.frombuffer(mmap.mmap(self._file.fileno(), size), dtype).reshape(shape)

    def reserve(self, row: int | None = None) -> None:
        """Take the room of a row, or of all; systems that cannot do so take it as it is written.

        Raises:
            OSError: there is none.
        """
        size = self.array[0].nbytes if row is not None else self.array.nbytes
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), (row or 0) * size, size)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self._form, DupFd(self._file.fileno()))


def _folder(size: int) -> str | None:
    """Where a file of that size goes: None for the system's folder of temporary files."""
    free = free_memory()
    return str(_MEMORY) if free is not None and free >= size else None
