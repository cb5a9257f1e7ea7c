"""What the readers of formats share: entries in COCO's form, and the ids that these keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from yolov9_lit.data.coco.category_entries import require_same
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.coco.image_entries import is_id
from yolov9_lit.data.coco.judge import Judged, judge
from yolov9_lit.data.images import Header, ImageFiles, UnreadableImage, read_header, read_image
from yolov9_lit.errors import UserError

SPLITS = ("train", "val", "test")
IDS_FILE = "ids.json"
"""Beside VOC and YOLO data: the ids, and their order, that these formats have no place for."""


class SourceFolder(Protocol):
    """A data set in a folder. It is listed at once and read on demand.

    Attributes:
        settings: what, besides its files, decides on what is read.
    """

    settings: str

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is; some may not exist."""
        ...

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield each split: its name, its content, and the folder its file names start from.

        The faults' split is the one that was yielded last.

        Raises:
            UserError: its structure is broken.
        """
        ...


def read_splits(source: SourceFolder) -> dict[str, Judged]:
    """Read and judge a data set: the sound content of each split.

    Raises:
        UserError: its structure is broken, a split has no image that can be used, or the splits
            have different categories.
    """
    splits = {name: judge(content, folder) for name, content, folder in source.read()}
    first = next(iter(splits.values()))
    for judged in splits.values():
        require_same(first.path, first.names, judged.path, judged.names)
    return splits


def note_leaks(splits: Mapping[str, Judged]) -> None:
    """Add the images of other splits that are files of train, too."""
    files = {
        name: ImageFiles(judged.folder, np.array([e["file_name"] for e in judged.images.values()]))
        for name, judged in splits.items()
    }
    if (train := files.pop("train", None)) is None:
        return
    for name, images in files.items():
        splits[name].faults.split = name
        for image in images.also_in(train):
            splits[name].faults.add(Fault.IMAGE_LEAK, image, detail="train")


def as_coco(
    path: Path,
    categories: Sequence[Entry],
    images: Mapping[str, int],
    folder: Path,
    objects: Callable[[str, tuple[int, int]], Iterable[Entry]],
    faults: Faults,
    stated: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> CocoContent:
    """Return a split in COCO's form, its images' sizes taken from their headers.

    Boxes that were drawn on another size than an image's are wrong: such an image is left out.

    Args:
        path: names the split in messages.
        categories: in COCO's form.
        images: ids by name, in order.
        folder: that the names start from.
        objects: given the name of an image and its height and width in pixels, returns its
            annotations without their ids.
        faults: images that cannot be used are added.
        stated: heights and widths in pixels that annotations state, by image name.
    """
    listed: list[Entry] = []
    annotations: list[Entry] = []
    for name, image_id in images.items():
        try:
            header = _header(folder / name)
        except UnreadableImage as error:
            faults.add(Fault.IMAGE_UNREADABLE, f"{name} {error.fault}", name)
            continue
        size = (header.height, header.width)
        if header.turned:
            faults.notes[Note.IMAGES_TURNED] += 1
        if (said := stated.get(name, size)) != size:
            faults.add_size(name, size, said)
            continue
        listed.append({"id": image_id, "file_name": name, "height": size[0], "width": size[1]})
        for entry in objects(name, size):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id} | entry)
    return CocoContent(path, listed, annotations, [*categories], faults)


def _header(path: Path) -> Header:
    """Return what an image's header says, or its pixels where Pillow refuses to read that.

    Raises:
        UnreadableImage: it cannot be decoded either.
    """
    if header := read_header(path):
        return header
    height, width = read_image(path).shape[:2]
    return Header(height, width, turned=False)


def read_text(path: Path) -> str:
    """Read a text file of a data set.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): check the data set.") from error


class KnownIds(NamedTuple):
    """Ids that were noted when a data set was converted.

    Attributes:
        categories: by class name.
        images: of each split, by image name, in the order of the data set.
    """

    categories: Mapping[str, int]
    images: Mapping[str, Mapping[str, int]]


def read_ids(src: Path) -> KnownIds:
    """Read `ids.json`; return no ids where there is no such file.

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
        raise UserError(f"{path} is malformed ({error!r}): delete it to number anew.") from error
    return KnownIds(categories, images)


def image_ids(names: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """Return an id for each image, in order.

    The noted ids, new images after the largest of them; if none is noted, the numbers that the
    files are named by, as COCO's are; else 1.. over the sorted names.
    """
    names = sorted(names)
    present = set(names)
    if ids := {name: i for name, i in known.items() if name in present}:
        new = (name for name in names if name not in ids)
        return ids | {name: i for i, name in enumerate(new, start=max(known.values()) + 1)}
    stems = [PurePosixPath(name).stem for name in names]
    if all(stem.isascii() and stem.isdecimal() for stem in stems):
        numbers = {name: int(stem) for name, stem in zip(names, stems, strict=True)}
        if len(set(numbers.values())) == len(numbers) and all(map(is_id, numbers.values())):
            return numbers
    return {name: i for i, name in enumerate(names, start=1)}


def _ids(values: Mapping[str, Any]) -> dict[str, int]:
    ids = dict(values)
    if not all(map(is_id, ids.values())):
        raise ValueError("an id is no whole number below 2^63")
    if len(set(ids.values())) != len(ids):
        raise ValueError("an id is given twice")
    return ids
