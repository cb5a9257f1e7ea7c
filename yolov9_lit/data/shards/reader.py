"""Opening a folder of shards, and reading images out of it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import fsspec
import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.images import UnreadableImage
from yolov9_lit.data.shards.files import RemoteFiles, ShardCache, ShardFiles, remedy
from yolov9_lit.data.shards.index import Members, map_index, member_key
from yolov9_lit.data.shards.manifest import ANNOTATIONS, MANIFEST, Manifest
from yolov9_lit.errors import UserError

_TRIES = 5
_THREADS = 2


class Shards(NamedTuple):
    """A split in shards: its table of contents, its files, and its images and objects."""

    manifest: Manifest
    files: ShardFiles
    annotations: Annotations


class ShardImages:
    """The images of a folder of shards; each is compared with its checksum when it is read.

    Attributes:
        files: where the shards are.
        shards: their names.
        firsts: (S + 1,) index of each shard's first image, and the number of images.
        members: where the images lie.
    """

    def __init__(
        self, files: ShardFiles, shards: Sequence[str], counts: Sequence[int], members: Members
    ) -> None:
        """Set the places; `counts` are the shards' numbers of images."""
        self.files = files
        self.shards = tuple(shards)
        self.firsts = np.concatenate([[0], np.cumsum(counts)])
        self.members = members

    def name(self, index: int) -> str:
        """Return the shard's path or address and the image's key in it."""
        return f"{self.files.where(self._shard(index))}/{member_key(index)}"

    def encoded(self, index: int) -> bytes:
        """Return the content of the image's file; see `ImageSource`."""
        start, length = int(self.members.starts[index]), int(self.members.lengths[index])
        content = self._read(self._shard(index), start, length)
        if content is None or zlib.crc32(content) != self.members.checksums[index]:
            fault = "is not what was written (its checksum is wrong)" if content else "is missing"
            raise UnreadableImage(self.name(index), fault, "copy or write its shard anew")
        return content

    def _shard(self, index: int) -> str:
        return self.shards[int(np.searchsorted(self.firsts, index, side="right")) - 1]

    def _read(self, shard: str, start: int, length: int) -> bytes | None:
        for _ in range(_TRIES):
            try:
                with self.files.local(shard).open("rb", buffering=0) as file:
                    file.seek(start)
                    return file.read(length)
            except FileNotFoundError:  # Another process has made room in the cache just now.
                continue
        return None


class FetchAhead:
    """Fetches the next window's shards in the background while the present one is trained on.

    What cannot be fetched is left to the process that reads it, which tells the user.
    """

    def __init__(self, images: ShardImages) -> None:
        """Set the shards; threads begin with the first call."""
        self.images = images
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch-ahead")
        self._pending: list[Future] = []

    def __call__(self, shards: Sequence[int]) -> None:
        """Fetch shards; give up those of the call before that have not begun."""
        for future in self._pending:
            future.cancel()
        names = [self.images.shards[s] for s in shards]
        self._pending = [self._threads.submit(self.images.files.local, name) for name in names]


def is_remote(place: str) -> bool:
    """Return whether shards are in a store, not in a folder of this machine."""
    return "://" in place


def open_shards(place: str, cache: ShardCache) -> Shards:
    """Open a folder of shards; of remote ones the index is fetched, no shard yet.

    Args:
        place: the folder, or an address that fsspec reads: `s3://BUCKET/FOLDER`.
        cache: for remote files.

    Raises:
        UserError: there are no shards, or a file is missing or of another length than written.
    """
    manifest = _read_manifest(place)
    if is_remote(place):
        files: ShardFiles = RemoteFiles(place, manifest, cache)
    else:
        _check_lengths(Path(place), manifest)
        files = ShardFiles(place)
    annotations = map_index(
        files.local,
        Path(files.where(ANNOTATIONS)),
        manifest,
        lambda members: ShardImages(
            files, tuple(manifest.shards), tuple(manifest.shards.values()), members
        ),
    )
    return Shards(manifest, files, annotations)


def _read_manifest(place: str) -> Manifest:
    path = f"{place}/{MANIFEST}"
    try:
        with fsspec.open(path, "rb") as file:
            return Manifest.parse(file.read(), place)
    except UserError:
        raise
    except Exception as error:  # Each store has errors of its own.
        fault = str(error) or type(error).__name__
        raise UserError(f"{path} cannot be read ({fault}): {remedy(error)}") from error


def _check_lengths(folder: Path, manifest: Manifest) -> None:
    for name, expected in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != expected.bytes:
            fault = "is missing" if size is None else f"has {size:,} bytes, not {expected.bytes:,}"
            raise UserError(
                f"{path} {fault} as {folder / MANIFEST} says: copy the folder again, or write it "
                "anew with `python -m yolov9_lit.data shard`."
            )
