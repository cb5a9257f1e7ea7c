"""Where everything lies in a folder of shards: images in tar files, annotations in arrays.

The arrays are mapped into memory. Only the parts that are used are in memory, and the processes of
a machine share them: it makes no difference how many images there are.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.images import ImageSource
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.shards.manifest import Manifest
from yolov9_lit.files import atomic_write


class Member(NamedTuple):
    """An image to write.

    Attributes:
        key: name of its two members, without ending.
        ending: of the image's file, ".jpg".
        encoded: the file's content.
        record: its COCO entries, for the JSON member.
    """

    key: str
    ending: str
    encoded: bytes
    record: dict[str, Any]


class Members(NamedTuple):
    """Where the N images lie in their shards.

    Attributes:
        starts: (N,) int64, first byte in the shard.
        lengths: (N,) int64, in bytes.
        checksums: (N,) uint32, CRC-32.
    """

    starts: np.ndarray
    lengths: np.ndarray
    checksums: np.ndarray


_ANNOTATIONS = ("image_ids", "sizes", "boxes", "labels", "crowd", "offsets")
_POLYGONS = tuple(field.name for field in fields(FlatPolygons))
_FILES = {name: f"index/{name}.npy" for name in (*_ANNOTATIONS, *_POLYGONS, *Members._fields)}


def member_key(index: int) -> str:
    """Return the name of the members of image `index` in a shard, without their endings."""
    return f"{index:09d}"


def write_shard(path: Path, members: Iterable[Member]) -> None:
    """Write a tar file as WebDataset reads it, whole or not at all; the same bytes each time."""
    with atomic_write(path) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            _add(tar, member.key + member.ending, member.encoded)
            _add(tar, f"{member.key}.json", json.dumps(member.record).encode())


def read_members(path: Path) -> Members:
    """Find the images of a shard and read them for their checksums."""
    places, checksums = [], []
    with tarfile.open(path) as tar, path.open("rb") as file:
        for entry in tar:
            if not entry.name.endswith(".json"):
                file.seek(entry.offset_data)
                places.append((entry.offset_data, entry.size))
                checksums.append(zlib.crc32(file.read(entry.size)))
    starts, lengths = np.array(places, dtype=np.int64).reshape(-1, 2).T
    return Members(starts, lengths, np.array(checksums, dtype=np.uint32))


def write_index(folder: Path, annotations: Annotations, members: Members) -> Iterable[str]:
    """Write the arrays; return their files' names from `folder` on."""
    arrays = vars(annotations) | vars(annotations.polygons) | members._asdict()
    for name, path in _FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        np.save(folder / path, arrays[name])
    return _FILES.values()


def map_index(
    local: Callable[[str], Path],
    path: Path,
    manifest: Manifest,
    source: Callable[[Members], ImageSource],
) -> Annotations:
    """Map the arrays into memory.

    Args:
        local: gives the local file of a name.
        path: annotation file that they come from.
        manifest: of the same folder.
        source: makes the images' source of where they lie.
    """
    arrays = {name: _map(local(file)) for name, file in _FILES.items()}
    own: dict[str, Any] = {name: arrays[name] for name in _ANNOTATIONS}
    return Annotations(
        path=path,
        images=source(Members(*(arrays[name] for name in Members._fields))),
        categories=manifest.categories,
        polygons=FlatPolygons(*(arrays[name] for name in _POLYGONS)),
        faults=manifest.faults,
        **own,
    )


def _map(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r"))  # A plain array: memmap's slices are slow.


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
