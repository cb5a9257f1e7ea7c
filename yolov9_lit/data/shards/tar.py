"""One shard: a tar file as WebDataset reads it, deterministic to the byte."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.shards.index import Members
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


def write_shard(path: Path, members: Iterable[Member]) -> None:
    """Writes a shard, whole or not at all."""
    with atomic_write(path) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            _add(tar, member.key + member.ending, member.encoded)
            _add(tar, f"{member.key}.json", json.dumps(member.record).encode())


def read_members(path: Path) -> Members:
    """Finds the images of a shard and reads them for their checksums."""
    places, checksums = [], []
    with tarfile.open(path) as tar, path.open("rb") as file:
        for entry in tar:
            if not entry.name.endswith(".json"):
                file.seek(entry.offset_data)
                places.append((entry.offset_data, entry.size))
                checksums.append(zlib.crc32(file.read(entry.size)))
    starts, lengths = np.array(places, dtype=np.int64).reshape(-1, 2).T
    return Members(starts, lengths, np.array(checksums, dtype=np.uint32))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
