"""Keeps from the terminal what libraries print about images: what is wrong is told by us, once.

libjpeg and libpng write to the standard error of the process, past Python, each time that they
read an image whose colour profile or padding they do not like, thus for each epoch and worker.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2

_STDERR = 2
_OURS_TO_TELL = re.compile(
    rb"libpng (warning|error): |libjpeg|Corrupt JPEG data: |Premature end of |Invalid SOS |"
    rb"Inconsistent progression |Warning: unknown JFIF |Unsupported marker |Unknown Adobe "
)
"""How the lines of these libraries begin."""


def quiet_pillow() -> None:
    """Keep Pillow's warnings and log, of EXIF data, large images, and kinds of TIFF, silent."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


def opencv_log_level(level: int) -> int:
    """Set from where on OpenCV tells of itself (0: never, 2: errors); returns the level before."""
    told = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2  # OpenCV 5, OpenCV 4
    return int(told.setLogLevel(level))


class _StandardError:
    """Holds back what is written to the standard error while images are decoded, in any thread.

    What is no line of `_OURS_TO_TELL` is written when the last of them is decoded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._real = -1
        self._held: Any = None  # An unbuffered file: its offset is that of the descriptor.

    def hold(self) -> None:
        """Begin to hold back.

        Raises:
            OSError: it is closed, or no folder takes a temporary file.
        """
        with self._lock:
            if not self._users:
                self._held = self._held or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                self._real = os.dup(_STDERR)
                os.dup2(self._held.fileno(), _STDERR)
            self._users += 1

    def release(self) -> None:
        """End it, and write what is not of these libraries."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._restore()
            if self._held is None or not self._held.tell():
                return
            self._held.seek(0)
            for line in self._held.readall().splitlines(keepends=True):
                if not _OURS_TO_TELL.match(line):
                    os.write(_STDERR, line)
            self._held.seek(0)
            self._held.truncate()

    def begin_anew(self) -> None:
        """Share nothing with the process that this one was forked from."""
        if self._users:
            self._restore()
        self._lock, self._users, self._held = threading.Lock(), 0, None

    def _restore(self) -> None:
        os.dup2(self._real, _STDERR)
        os.close(self._real)


_stderr = _StandardError()
os.register_at_fork(after_in_child=_stderr.begin_anew)


@contextmanager
def no_lines_of_libraries() -> Iterator[None]:
    """Drop what libjpeg and libpng write to the standard error meanwhile."""
    try:
        _stderr.hold()
    except OSError:  # Then these lines are seen.
        yield
        return
    try:
        yield
    finally:
        _stderr.release()
