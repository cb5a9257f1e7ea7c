"""A COCO-format file's annotations as records: only what training and the metric need of them.

Dictionaries with all that a file of COCO's size says take four times as long to make, and twice
the memory.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, overload

import msgspec
from msgspec import UNSET, Meta, Raw

from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.coco.file import LISTS, CocoContent, Entry, load_coco, noted_counts
from yolov9_lit.memory import no_garbage_collection

_PIECE = 2**20  # Bytes whose encoding is checked together.

_TOGETHER = 128  # Annotations whose outlines are Python objects at a time: a cache holds them.

_NONE = Raw(b"null")

Texts = Literal["segmentation", "keypoints"]
"""Keys of a record that are text until asked for."""

Id = Annotated[int, Meta(ge=-(2**63) + 1, le=2**63 - 1)]


class Record(msgspec.Struct, gc=False):
    """An annotation whose values have the usual types; lists of numbers are text until asked for.

    Only the ids and the box need to be there. `where` is what faults are told with, see `WHERE`.
    """

    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    id: Id | None = None
    area: float | None = None
    iscrowd: Id | None = None
    segmentation: Raw = _NONE
    num_keypoints: Id | None = None
    keypoints: Raw = _NONE
    where: str | None = None


class Records(Sequence[Entry]):
    """Annotations as `CocoContent` has them, with the keys of a `Record`."""

    def __init__(self, records: list[Record]) -> None:
        """Take the records."""
        self.records = records

    def __len__(self) -> int:
        """Return the number of annotations."""
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Records: ...

    def __getitem__(self, index: int | slice) -> Entry | Records:
        """Return an annotation as an entry, or some of them."""
        if isinstance(index, slice):
            return Records(self.records[index])
        record = self.records[index]
        outlines, keypoints = _values([record.segmentation, record.keypoints])
        lists = {"bbox": [*record.bbox], "segmentation": outlines, "keypoints": keypoints}
        return msgspec.structs.asdict(record) | lists

    def values(self, key: Texts, indices: Iterable[int], wanted: Iterable[bool]) -> Iterator[Any]:
        """Yield what annotations give under a key, None of those that are not wanted."""
        records, pairs = self.records, zip(indices, wanted, strict=True)
        texts = (getattr(records[i], key) if asked else _NONE for i, asked in pairs)
        while some := [*islice(texts, _TOGETHER)]:
            yield from _values(some)


def values_of(
    entries: Sequence[Entry], key: Texts, rows: Iterable[int], wanted: Iterable[bool]
) -> Iterator[Any]:
    """Yield what annotations give under a key, None of those that are not wanted.

    Args:
        entries: of the file.
        key: of an annotation.
        rows: positions of the annotations among them.
        wanted: whether each is wanted.
    """
    if isinstance(entries, Records):
        return entries.values(key, rows, wanted)
    pairs = zip(rows, wanted, strict=True)
    return (entries[i].get(key) if asked else None for i, asked in pairs)


class _File(msgspec.Struct):
    """The lists of a file, and the keys that tell of another format."""

    images: list[dict[str, Any]]
    annotations: list[Record]
    categories: list[dict[str, Any]]
    faults: Any = None
    shapes: Any = UNSET
    _via_img_metadata: Any = UNSET


def load_records(path: Path) -> CocoContent:
    """Read a file as `load_coco` does; the annotations have what a `Record` has.

    A file with anything unusual is left to `load_coco`, which takes it or tells what is wrong.

    Raises:
        UserError: it does not exist or is no COCO JSON.
    """
    return _usual(path) or load_coco(path)


@no_garbage_collection()
def _usual(path: Path) -> CocoContent | None:
    """Return the content of a file in which all has its usual type, else None."""
    if not path.is_file():
        return None
    try:
        encoded = path.read_bytes()
        file = msgspec.json.decode(encoded, type=_File)
        _require_text(encoded)
    except (OSError, ValueError, RecursionError, msgspec.DecodeError):
        return None
    other = file.shapes is not UNSET or file._via_img_metadata is not UNSET
    if other or any(encoded.count(f'"{key}"'.encode()) > 1 for key in LISTS):
        return None
    faults = Faults(path, noted_counts(file.faults))
    return CocoContent(path, file.images, Records(file.annotations), file.categories, faults)


def _require_text(encoded: bytes) -> None:
    """Refuse what is no UTF-8: values that are passed over are not looked at for that.

    Raises:
        ValueError: it is none.
    """
    if not encoded.isascii():
        pieces = (encoded[i : i + _PIECE] for i in range(0, len(encoded), _PIECE))
        for _ in codecs.iterdecode(pieces, "utf-8"):
            pass


def _values(texts: Sequence[Raw]) -> list[Any]:
    """Return the values of JSON texts."""
    joined = b"".join((b"[", b",".join(texts), b"]"))
    try:
        return msgspec.json.decode(joined)
    except msgspec.DecodeError:  # Numbers too large for a float: here they are infinite.
        return json.loads(joined, parse_int=float)
