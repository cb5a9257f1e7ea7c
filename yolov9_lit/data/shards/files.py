"""The files of a folder of shards: on this machine, or fetched from a store into a cache."""

from __future__ import annotations

import glob
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
from filelock import FileLock, Timeout

from yolov9_lit.data.shards.manifest import FileSum, Manifest
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write, remove_parts

_TRIES = 4
_RESERVED = ".reserved"  # Its content is the size of a shard that is being fetched.
_LOCK = ".lock"


class ShardFiles:
    """The files that a manifest lists, in a folder of this machine."""

    def __init__(self, place: str) -> None:
        """Set the folder."""
        self.place = place

    def where(self, name: str) -> str:
        """Return the file's path or address."""
        return f"{self.place}/{name}"

    def local(self, name: str) -> Path:
        """Return the file's path on this machine.

        Raises:
            UserError: it cannot be fetched.
        """
        return Path(self.where(name))


class RemoteFiles(ShardFiles):
    """Files in a store that fsspec reads: s3://, gs://, http:// and more.

    They are fetched whole, checked and kept in a cache under its limit.
    """

    def __init__(self, place: str, manifest: Manifest, cache: ShardCache) -> None:
        """Set the address; other content at the same address gets another folder of the cache."""
        super().__init__(place)
        self.sums = manifest.files
        self.cache = cache
        content = repr(sorted(manifest.files.items())).encode()
        self.folder = cache.folder / hashlib.sha256(content).hexdigest()[:16]

    def local(self, name: str) -> Path:
        """Return the file's path in the cache; fetch it where it is not there."""
        expected = self.sums[name]
        return self.cache.fetched(
            self.folder / name,
            expected.bytes,
            lambda part: _fetch(self.where(name), part, expected),
        )


def _fetch(address: str, target: Path, expected: FileSum) -> None:
    """Copy a file from a store and check it; what fails is tried again some times."""
    fault = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(2 ** (attempt - 1))
        try:
            filesystem, path = fsspec.core.url_to_fs(address)
            filesystem.get_file(path, str(target))
        except (FileNotFoundError, ImportError) as error:
            raise UserError(f"{address} cannot be fetched ({error}): {remedy(error)}") from error
        except Exception as error:  # Each store has errors of its own.
            fault = str(error) or type(error).__name__
            continue
        if FileSum.of(target) == expected:
            return
        fault = "it is not what was written, its checksum is wrong"
    raise UserError(f"{address} cannot be fetched ({fault}): check the store and the connection.")


def remedy(error: Exception) -> str:
    """Return what to do about an error of a store."""
    if isinstance(error, ImportError):
        return "install what reads it, pip install 'yolov9-lit[stream]'."
    return "check the address; `python -m yolov9_lit.data shard` writes shards."


class ShardCache:
    """A folder of fetched files under a limit, shared by all processes of a machine.

    It keeps what was used last. A file is fetched by one process, the others wait for it; it
    appears whole or not at all. What is removed stays readable to a process that has it open.

    Attributes:
        folder: for the files.
        limit: most bytes of all shards in it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Set the limit."""
        self.folder = folder
        self.limit = limit

    def fetched(self, target: Path, size: int, fetch: Callable[[Path], None]) -> Path:
        """Return a file of the cache, fetched where it is not there.

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
                    # Not while another process counts: it would see neither this nor the target.
                    with self._counting():
                        reserved.unlink(missing_ok=True)
        return target

    def _reserve(self, target: Path, size: int) -> Path:
        """Remove what was used longest ago until there is room, and take the room."""
        reserved = target.with_name(target.name + _RESERVED)
        with self._counting():
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

    def _counting(self) -> FileLock:
        """Return the lock under which room is counted, taken and given back."""
        return FileLock(self.folder / f"cache{_LOCK}")


def _touched(path: Path) -> bool:
    """Note that a file is used now; return False where it is not there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _lock(target: Path) -> FileLock:
    return FileLock(target.with_name(target.name + _LOCK))


def _use(path: Path) -> tuple[float, int, Path] | None:
    """Return when a shard or reservation was last used, its bytes and path; None for others."""
    try:
        state = path.stat()
        if path.suffix == _RESERVED:
            return state.st_mtime, int(path.read_text() or 0), path
        return (state.st_mtime, state.st_size, path) if path.suffix == ".tar" else None
    except FileNotFoundError:  # Another process was faster.
        return None


def _abandoned(reserved: Path) -> bool:
    """Return whether the process that fetched there was killed; remove what it left."""
    target = reserved.with_name(reserved.name.removesuffix(_RESERVED))
    try:
        with _lock(target).acquire(timeout=0):
            remove_parts(target.parent, glob.escape(target.name))
            return True
    except Timeout:
        return False
