"""Images read out of shards."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from yolov9_lit.data.images import UnreadableImage
from yolov9_lit.data.shards.files import ShardFiles
from yolov9_lit.data.shards.index import Members

_TRIES = 5


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
        """The shard and the image's key in it."""
        return f"{self.files.where(self._shard(index))}/{member_key(index)}"

    def encoded(self, index: int) -> bytes:
        """The file's content; see `ImageSource`."""
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


def member_key(index: int) -> str:
    """What the members of image `index` are called in a shard, without their endings."""
    return f"{index:09d}"
