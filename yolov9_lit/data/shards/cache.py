"""A folder of fetched shards that keeps under a limit, shared by all processes of a machine."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from yolov9_lit.files import atomic_write, remove_parts

_RESERVED = ".reserved"  # Its content is the size of a shard that is being fetched.
_LOCK = ".lock"


class ShardCache:
    """Keeps what was used last.

    A file is fetched by one process, the others wait for it; it appears whole or not at all. What
    is removed while another process reads it stays readable there.

    Attributes:
        folder: for the files.
        limit: most bytes of all shards in it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Set the limit."""
        self.folder = folder
        self.limit = limit

    def fetched(self, target: Path, size: int, fetch: Callable[[Path], None]) -> Path:
        """Gives a file of the cache.

        Args:
            target: its path in the folder.
            size: its length in bytes.
            fetch: writes it to a path.
        """
        if _touched(target):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            if not _touched(target):
                reserved = self._reserve(target, size)
                try:
                    with atomic_write(target) as part:
                        fetch(part)
                finally:
                    reserved.unlink(missing_ok=True)
        return target

    def _reserve(self, target: Path, size: int) -> Path:
        """Removes what was used longest ago until there is room, and takes the room."""
        reserved = target.with_name(target.name + _RESERVED)
        with FileLock(self.folder / f"cache{_LOCK}"):
            there = sorted(filter(None, map(_use, self.folder.rglob("*.tar*"))))
            total = sum(held for _, held, _ in there)
            for _, held, path in there:
                if total + size <= self.limit:
                    break
                if path.suffix != _RESERVED or _abandoned(path):
                    path.unlink(missing_ok=True)
                    total -= held
            reserved.write_text(str(size))
        return reserved


def _touched(path: Path) -> bool:
    """Notes that a file is used now; False where it is not there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _lock(target: Path) -> FileLock:
    return FileLock(target.with_name(target.name + _LOCK))


def _use(path: Path) -> tuple[float, int, Path] | None:
    """When a shard or reservation was last used, and the bytes it holds; None for other files."""
    try:
        if path.suffix == _RESERVED:
            return path.stat().st_mtime, int(path.read_text() or 0), path
        return (path.stat().st_mtime, path.stat().st_size, path) if path.suffix == ".tar" else None
    except FileNotFoundError:  # Another process was faster.
        return None


def _abandoned(reserved: Path) -> bool:
    """Whether the process that fetched there was killed; removes what it left."""
    target = reserved.with_name(reserved.name.removesuffix(_RESERVED))
    try:
        with _lock(target).acquire(timeout=0):
            remove_parts(target.parent, glob.escape(target.name))
            return True
    except Timeout:
        return False
