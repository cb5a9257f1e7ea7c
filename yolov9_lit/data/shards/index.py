"""Where everything lies in a folder of shards: images in tar files, annotations in arrays."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.arrays import (
    ARRAYS,
    array_path,
    arrays_of,
    from_arrays,
    map_array,
    save_arrays,
)
from yolov9_lit.data.images import ImageSource
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


_INDEX = Path("index")
_FILES = {name: array_path(_INDEX, name).as_posix() for name in (*ARRAYS, *Members._fields)}


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
    save_arrays(folder / _INDEX, arrays_of(annotations) | members._asdict())
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
    arrays = {name: map_array(local(file)) for name, file in _FILES.items()}
    return from_arrays(
        arrays,
        path=path,
        images=source(Members(*(arrays[name] for name in Members._fields))),
        categories=manifest.categories,
        layout=manifest.keypoints,
        faults=manifest.faults,
    )


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
