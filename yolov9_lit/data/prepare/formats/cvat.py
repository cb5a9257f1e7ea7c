"""Reading data sets as CVAT exports them in its own form, "CVAT for images 1.1".

The format: https://docs.cvat.ai/docs/manual/advanced/xml_format/. An export is a folder of `images`
and an `annotations.xml`, in which an `image` may name its `subset`. An exported project has the
images of a subset in a folder of its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from yolov9_lit.data.coco.annotation_entries import WHERE
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.coco.mask_entries import mask_entry
from yolov9_lit.data.prepare.formats.source import IDS_FILE, SPLITS, as_coco, image_ids, read_ids
from yolov9_lit.errors import UserError, first_few

_FILE = "annotations.xml"
_SUBSETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SHAPES = ("box", "polygon", "ellipse", "mask")
_NO_SHAPES = ("polyline", "points", "cuboid", "skeleton", "tag")
"""What has no box; also types of labels, which then are no classes."""


class _Image(NamedTuple):
    """An image's element, and the file that it is in."""

    element: Element
    file: Path


class CvatFolder:
    """The data set in `src/annotations.xml` and `src/images`; a `SourceFolder`.

    The splits are the subsets Train, Validation and Test; or there is an export for each, in
    `src/{train,val,test}`. Category ids are 1.. over the labels in their order.
    """

    settings: str = ""

    def __init__(self, src: Path, faults: Faults) -> None:
        """Read the XML files.

        Args:
            src: folder of the data set.
            faults: what is wrong with single items is added.

        Raises:
            UserError: there is no such file, one cannot be read or is of a video, or an image
                belongs to no split.
        """
        self.src, self.faults = src, faults
        places = {src / _FILE: "", **{src / split / _FILE: split for split in SPLITS}}
        self._files = [file for file in places if file.is_file()]
        if not self._files:
            raise UserError(
                f'{src} has no {_FILE}: give the folder that an export as "CVAT for images 1.1" '
                "was unpacked in."
            )
        roots = {file: _root(file) for file in self._files}
        self._labels = [*dict.fromkeys(n for root in roots.values() for n in _labels(root))]
        self._splits: dict[str, dict[str, _Image]] = {}
        for file, root in roots.items():
            for element in root.iter("image"):
                split = places[file] or _split(element, file)
                name = self._name(file.parent, element)
                self._splits.setdefault(split, {})[name] = _Image(element, file)

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is."""
        yield self.src / IDS_FILE
        yield from self._files
        for images in self._splits.values():
            yield from (self.src / name for name in images)

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield the splits; see `SourceFolder`."""
        known = read_ids(self.src)
        ids = {name: i for i, name in enumerate(self._labels, start=1)}
        if set(ids) <= set(known.categories):
            ids = dict(known.categories)
        categories = [{"id": i, "name": name} for name, i in ids.items()]
        for split in (name for name in SPLITS if name in self._splits):
            self.faults.split = split
            images = self._splits[split]
            content = as_coco(
                *(self.src / split, categories),
                image_ids(images, known.images.get(split, {})),
                self.src,
                partial(self._objects, images, ids),
                self.faults,
                {name: size for name, one in images.items() if (size := _size(one.element))},
            )
            yield split, content, self.src

    def _name(self, folder: Path, element: Element) -> str:
        """Return an image's path from `src`, whether or not its subset has a folder."""
        name, subset = element.get("name", ""), element.get("subset", "")
        apart, together = (folder / "images" / part / name for part in (subset, ""))
        return (apart if apart.is_file() else together).relative_to(self.src).as_posix()

    def _objects(
        self,
        images: Mapping[str, _Image],
        ids: Mapping[str, int],
        name: str,
        size: tuple[int, int],
    ) -> Iterator[Entry]:
        for shape in images[name].element:
            if shape.tag in _NO_SHAPES:
                self.faults.notes[Note.NO_BOX] += 1
            if shape.tag not in _SHAPES:
                continue
            try:
                entry = parse_shape(shape, size)
                category = ids[shape.get("label", "")]
            except (ValueError, KeyError):
                self.faults.add(Fault.XML_OBJECT, name, name)
                continue
            if float(shape.get("rotation", 0)):
                self.faults.notes[Note.TURNED] += 1
            yield {"category_id": category, WHERE: name} | entry


def parse_shape(shape: Element, size: tuple[int, int]) -> Entry:
    """Return the box of a box, polygon, ellipse or mask, of polygons and masks with the outline.

    What is turned gets the upright box around it.

    Args:
        shape: its element.
        size: height and width of the image in pixels.

    Raises:
        ValueError: a number is missing or none.
    """
    if shape.tag == "mask":
        return _mask(shape, size)
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in shape.get("points", "").split(";")]
        points = np.array(pairs, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError("its points are no pairs")
        return {"bbox": _around(points), "segmentation": [points.ravel().tolist()]}
    turn = math.radians(float(shape.get("rotation", 0)))
    cos, sin = math.cos(turn), math.sin(turn)
    if shape.tag == "ellipse":
        x, y, a, b = (_number(shape, key) for key in ("cx", "cy", "rx", "ry"))
        half = np.array([math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)])
    else:
        left, top, right, bottom = (_number(shape, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        x, y, a, b = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
        half = np.array([a * abs(cos) + b * abs(sin), a * abs(sin) + b * abs(cos)])
    return {"bbox": [x - float(half[0]), y - float(half[1]), *(2 * half).tolist()]}


def _mask(shape: Element, size: tuple[int, int]) -> Entry:
    """Read run lengths, of background and object by turns, row by row of the mask's own box."""
    left, top, width, height = (
        int(_number(shape, key)) for key in ("left", "top", "width", "height")
    )
    runs = np.array([int(text) for text in shape.get("rle", "").split(",")])
    if min(left, top) < 0 or (runs < 0).any() or runs.sum() != width * height:
        raise ValueError("its run lengths are not those of its box")
    whole = np.zeros(size, dtype=np.uint8)
    pixels = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)
    place = whole[top : top + height, left : left + width]
    place[:] = pixels[: place.shape[0], : place.shape[1]]
    if not whole.any():
        raise ValueError("it is empty")
    rows, columns = np.nonzero(whole)
    corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]])
    return {"bbox": _around(corners)} | mask_entry(whole)


def _around(points: np.ndarray) -> list[float]:
    least = points.min(axis=0)
    return [*map(float, least), *map(float, points.max(axis=0) - least)]


def _number(shape: Element, key: str) -> float:
    return float(shape.get(key, ""))


def _root(file: Path) -> Element:
    try:
        root = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{file} cannot be read ({error}): export it anew.") from error
    if root.find("track") is not None:
        raise UserError(
            f'{file} has tracks of a video: export it as "CVAT for images 1.1", which has the '
            "objects of each frame."
        )
    if root.tag != "annotations" or root.find("image") is None:
        raise UserError(f'{file} has no images as "CVAT for images 1.1" has: export it as that.')
    return root


def _labels(root: Element) -> list[str]:
    """Return the labels of shapes that have a box: as they were set up, then as they were used."""
    names = [
        label.findtext("name", "").strip()
        for label in root.iterfind("meta//labels/label")
        if label.findtext("type", "any") not in _NO_SHAPES
    ]
    used = sorted({s.get("label", "") for tag in _SHAPES for s in root.iterfind(f"image/{tag}")})
    return [name for name in [*names, *used] if name]


def _split(element: Element, file: Path) -> str:
    subset = element.get("subset", "")
    if (split := _SUBSETS.get(subset.lower())) is None:
        told = f"the subset {first_few([subset])}" if subset else "no subset"
        raise UserError(
            f"{file} has images of {told}: set the subsets Train and Validation of the project's "
            "tasks in CVAT, or lay an export for each into train/ and val/."
        )
    return split


def _size(element: Element) -> tuple[int, int] | None:
    """Return the height and width that an image's element states; None for none."""
    try:
        return int(element.get("height", "")), int(element.get("width", ""))
    except ValueError:
        return None
