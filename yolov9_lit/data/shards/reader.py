"""Opening a folder of shards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.shards.cache import ShardCache
from yolov9_lit.data.shards.files import LocalFiles, RemoteFiles, ShardFiles, read_manifest
from yolov9_lit.data.shards.images import ShardImages
from yolov9_lit.data.shards.index import map_index
from yolov9_lit.data.shards.manifest import ANNOTATIONS, MANIFEST, Manifest
from yolov9_lit.errors import UserError


class Shards(NamedTuple):
    """A split in shards: its table of contents, its files, and its images and objects."""

    manifest: Manifest
    files: ShardFiles
    annotations: Annotations


def is_remote(place: str) -> bool:
    """Whether shards are in a store, not in a folder of this machine."""
    return "://" in place


def open_shards(place: str, cache: ShardCache) -> Shards:
    """Opens a folder of shards; of remote ones the index is fetched, no shard yet.

    Args:
        place: the folder, or an address that fsspec reads: `s3://BUCKET/FOLDER`.
        cache: for remote files.

    Raises:
        UserError: there are no shards, or a file is missing or of another length than written.
    """
    manifest = read_manifest(place)
    files: ShardFiles
    if is_remote(place):
        files = RemoteFiles(place, manifest, cache)
    else:
        _check_lengths(Path(place), manifest)
        files = LocalFiles(Path(place))
    names, counts = tuple(manifest.shards), tuple(manifest.shards.values())
    annotations = map_index(
        files.local,
        Path(files.where(ANNOTATIONS)),
        manifest.categories,
        partial(ShardImages, files, names, counts),
        manifest.faults,
    )
    return Shards(manifest, files, annotations)


def _check_lengths(folder: Path, manifest: Manifest) -> None:
    for name, expected in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != expected.bytes:
            fault = "is missing" if size is None else f"has {size:,} bytes, not {expected.bytes:,}"
            raise UserError(
                f"{path} {fault} as {folder / MANIFEST} says; copy the folder again or write it "
                "anew with `python -m yolov9_lit.data shard`"
            )
