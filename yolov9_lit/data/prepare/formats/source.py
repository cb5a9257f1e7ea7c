"""The form that every format is read into and written from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from yolov9_lit.data.coco.problems import Problems
from yolov9_lit.errors import UserError

SPLITS = ("train", "val", "test")
IDS_FILE = "ids.json"
"""Beside VOC and YOLO data: the ids, and their order, that these formats have no place for."""

_OVERSHOOT = 1.0  # Pixels by which rounding may bring a box out of its image.


class SourceObject(NamedTuple):
    """An object.

    Attributes:
        category_id: of its class.
        corners: x1, y1, x2, y2 in pixels.
        polygons: its outlines, each [x1, y1, x2, y2, ...] in pixels, finite, of three corners at
            least; none for a plain box.
        mask: it has an RLE mask, which is not read.
        crowd: a region of many objects.
        difficult: as Pascal VOC has it; other formats ignore it.
        truncated: likewise.
    """

    category_id: int
    corners: tuple[float, float, float, float]
    polygons: tuple[tuple[float, ...], ...] = ()
    mask: bool = False
    crowd: bool = False
    difficult: bool = False
    truncated: bool = False


class SourceImage(NamedTuple):
    """An image and its objects; `name` is its path from the split's folder, with slashes."""

    id: int
    path: Path
    name: str
    height: int
    width: int
    objects: Sequence[SourceObject]


class SourceData(NamedTuple):
    """A data set: class names by category id, and the images of each split."""

    categories: Mapping[int, str]
    splits: Mapping[str, Sequence[SourceImage]]


class SourceFolder(Protocol):
    """A data set in a folder. It is listed at once and read on demand."""

    def files(self) -> Iterator[Path]:
        """The files that make it what it is; some may not exist."""
        ...

    def read(self) -> SourceData:
        """All of it.

        Raises:
            UserError: its structure is broken, or a split has no image that can be read.
        """
        ...


def clipped(
    entry: SourceObject, height: int, width: int, where: str, problems: Problems
) -> SourceObject | None:
    """The object with its box inside the image; None, and a problem, where nothing is left."""
    if not all(map(math.isfinite, entry.corners)):
        problems.add("boxes that are not finite are left out", where)
        return None
    limits = (width, height, width, height)
    corners = [
        min(max(value, 0.0), float(limit))
        for value, limit in zip(entry.corners, limits, strict=True)
    ]
    x1, y1, x2, y2 = corners
    if x2 <= x1 or y2 <= y1:
        problems.add("boxes without area are left out", where)
        return None
    if any(abs(a - b) > _OVERSHOOT for a, b in zip(corners, entry.corners, strict=True)):
        problems.add("boxes reach beyond their image and are clipped", where)
    return entry._replace(corners=(x1, y1, x2, y2))


def complete(src: Path, data: SourceData) -> SourceData:
    """The data, checked to have images in each split.

    Raises:
        UserError: it has not.
    """
    for split, images in data.splits.items():
        if not images:
            raise UserError(f"{src} has no image in {split} that can be read; check the data set")
    return data


class KnownIds(NamedTuple):
    """Ids that were noted when a data set was converted.

    Attributes:
        categories: by class name.
        images: of each split, by image name, in the order of the data set.
    """

    categories: Mapping[str, int]
    images: Mapping[str, Mapping[str, int]]


def read_ids(src: Path) -> KnownIds:
    """What `ids.json` notes; nothing where there is none.

    Raises:
        UserError: the file is malformed.
    """
    path = src / IDS_FILE
    if not path.is_file():
        return KnownIds({}, {})
    try:
        content = json.loads(path.read_bytes())
        categories = _ids(content["categories"])
        images = {split: _ids(ids) for split, ids in content["images"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is malformed ({error!r}); delete it to number anew") from error
    return KnownIds(categories, images)


def noted_ids(data: SourceData, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Content of `ids.json`.

    Args:
        data: the data set.
        names: of each split's images where they are written to.
    """
    ids = {
        split: {name: image.id for name, image in zip(names[split], images, strict=True)}
        for split, images in data.splits.items()
    }
    return {"categories": {name: i for i, name in data.categories.items()}, "images": ids}


def image_ids(names: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """An id for each image, in order.

    The noted ids where all images have one; else the numbers that the files are named by, as
    COCO's are; else 1.. over the sorted names.
    """
    names = sorted(names)
    if set(names) <= set(known):
        present = set(names)
        return {name: i for name, i in known.items() if name in present}
    stems = [PurePosixPath(name).stem for name in names]
    if all(stem.isascii() and stem.isdecimal() for stem in stems):
        numbers = {name: int(stem) for name, stem in zip(names, stems, strict=True)}
        if len(set(numbers.values())) == len(numbers):
            return numbers
    return {name: i for i, name in enumerate(names, start=1)}


def _ids(values: Mapping[str, Any]) -> dict[str, int]:
    ids = {str(name): int(value) for name, value in values.items()}
    if len(set(ids.values())) != len(ids):
        raise ValueError("an id is given twice")
    return ids
