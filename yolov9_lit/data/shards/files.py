"""The files of a folder of shards: on this machine, or fetched from a store when needed."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Protocol

import fsspec

from yolov9_lit.data.shards.cache import ShardCache
from yolov9_lit.data.shards.manifest import MANIFEST, FileSum, Manifest
from yolov9_lit.errors import UserError

_TRIES = 4


class ShardFiles(Protocol):
    """The files that a manifest lists."""

    def where(self, name: str) -> str:
        """The file's path or address."""
        ...

    def local(self, name: str) -> Path:
        """The file on this machine.

        Raises:
            UserError: it cannot be fetched.
        """
        ...


class LocalFiles:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        """Set the folder."""
        self.folder = folder

    def where(self, name: str) -> str:
        """The file's path."""
        return str(self.folder / name)

    def local(self, name: str) -> Path:
        """The file itself."""
        return self.folder / name


class RemoteFiles:
    """Files in a store that fsspec reads: s3://, gs://, http:// and more.

    They are fetched whole, checked and kept in a cache under its limit.
    """

    def __init__(self, address: str, manifest: Manifest, cache: ShardCache) -> None:
        """Set the place; other content at the same address gets another folder of the cache."""
        self.address = address
        self.sums = manifest.files
        self.cache = cache
        content = repr(sorted(manifest.files.items())).encode()
        self.folder = cache.folder / hashlib.sha256(content).hexdigest()[:16]

    def where(self, name: str) -> str:
        """The file's address."""
        return f"{self.address}/{name}"

    def local(self, name: str) -> Path:
        """The file in the cache, fetched where it is not there."""
        return self.cache.fetched(
            self.folder / name,
            self.sums[name].bytes,
            lambda part: fetch(self.where(name), part, self.sums[name]),
        )


def fetch(address: str, target: Path, expected: FileSum) -> None:
    """Copies a file from a store and checks it; what fails is tried again some times.

    Raises:
        UserError: it cannot be had, or is not what was expected.
    """
    fault = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(2 ** (attempt - 1))
        try:
            filesystem, path = fsspec.core.url_to_fs(address)
            filesystem.get_file(path, str(target))
        except (FileNotFoundError, ImportError) as error:
            raise UserError(f"{address} cannot be fetched ({error}); {_remedy(error)}") from error
        except Exception as error:  # Each store has errors of its own.
            fault = str(error) or type(error).__name__
            continue
        if FileSum.of(target) == expected:
            return
        fault = "it is not what was written, its checksum is wrong"
    raise UserError(f"{address} cannot be fetched ({fault}); check the store and the connection")


def read_manifest(place: str) -> Manifest:
    """The manifest of a folder, or of an address with `://`.

    Raises:
        UserError: it cannot be had.
    """
    path = f"{place}/{MANIFEST}"
    try:
        with fsspec.open(path, "rb") as file:
            return Manifest.parse(file.read(), place)
    except UserError:
        raise
    except Exception as error:  # Each store has errors of its own.
        fault = str(error) or type(error).__name__
        raise UserError(f"{path} cannot be read ({fault}); {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install what reads it: pip install 'yolov9-lit[stream]'"
    return "check the address; `python -m yolov9_lit.data shard` writes shards"
