"""What of COCO-format content can be used; everything else becomes a fault.

Training, the metric, the converter, the check and the shards' writer all take their entries from
here, whatever format these come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolov9_lit.data.coco.faults import Box, Fault, Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.coco.image_entries import NUMBERS, is_id, sound_images, stated_size
from yolov9_lit.errors import UserError

ROUNDING = 1.0
"""Pixels that a box may lie beyond its image's edge without being called a fault."""

WHERE = "where"
"""Key of an annotation's place in its source, told with its faults in place of its id."""

_LEAST_SIDE = 0.01  # Pixels; less is nothing in 32-bit coordinates of large images.
_LEAST_NUMBERS = 6  # A polygon has at least three corners of two numbers.

Outlines = Sequence[Sequence[float]]
"""Polygons [x1, y1, x2, y2, ...] in pixels, each of three corners or more, all finite."""


class SoundObject(NamedTuple):
    """A sound entry of `annotations`: its box (x1, y1, x2, y2) inside the image, its outlines."""

    entry: Entry
    box: Box
    outlines: Outlines


class SoundImage(NamedTuple):
    """An image that is there.

    Attributes:
        entry: of `images`, with "height" and "width" in pixels.
        path: its file.
        name: its path from the folder of images, with slashes.
        objects: its sound annotations.
    """

    entry: Entry
    path: Path
    name: str
    objects: list[SoundObject]


class Judged(NamedTuple):
    """The images that are there, and the annotations of them that have a box and a class.

    Attributes:
        path: the annotation file, for messages.
        folder: that the images' file names start from.
        names: of the categories by id, in the order of the ids.
        images: entries of `images` by id, in the file's order, each with its height and width.
        objects: sound annotations in the file's order.
        faults: what is wrong with the rest.
    """

    path: Path
    folder: Path
    names: dict[int, str]
    images: dict[int, Entry]
    objects: list[SoundObject]
    faults: Faults

    @property
    def categories(self) -> list[Entry]:
        """Return the entries of `categories`."""
        return [{"id": i, "name": name} for i, name in self.names.items()]

    def by_image(self) -> list[SoundImage]:
        """Return the images with their objects."""
        found = {
            image_id: SoundImage(entry, self.folder / entry["file_name"], entry["file_name"], [])
            for image_id, entry in self.images.items()
        }
        for item in self.objects:
            found[item.entry["image_id"]].objects.append(item)
        return [*found.values()]


def judge(content: CocoContent, folder: Path) -> Judged:
    """Leave out what cannot be used, and add it to the content's faults.

    Args:
        content: of an annotation file, or of another format.
        folder: that the file names start from.

    Raises:
        UserError: the folder does not exist, or no image can be used.
    """
    faults = content.faults
    if not folder.is_dir():
        raise UserError(f"There is no image folder {folder}: check the data set's paths.")
    images = sound_images(content.images, folder, faults)
    if not images:
        raise UserError(
            f"{content.path} has no images: none of the {len(content.images):,} listed can be used "
            f"({faults.summary() or 'the list is empty'}): check the file and its folder {folder}."
        )
    return _judged(content, folder, images)


def judge_annotations(content: CocoContent) -> Judged:
    """Judge as `judge` does, but take all images that have an id: their files need not be there."""
    images = {entry["id"]: entry for entry in content.images if is_id(entry.get("id"))}
    return _judged(content, content.path.parent, images)


def _judged(content: CocoContent, folder: Path, images: dict[int, Entry]) -> Judged:
    faults = content.faults
    names = _sound_categories(content.categories, faults)
    objects = _sound_annotations(content, images, names, faults)
    return Judged(content.path, folder, names, images, objects, faults)


def _sound_categories(entries: Sequence[Entry], faults: Faults) -> dict[int, str]:
    """Return the names by id, in the order of the ids; of an id given twice the first counts."""
    names: dict[int, str] = {}
    for entry in entries:
        value = entry.get("id")
        if not is_id(value):
            faults.add(Fault.CATEGORY_ID, f"id {value!r}")
        elif value in names:
            faults.add(Fault.CATEGORY_REPEATED, f"category {value}")
        else:
            names[value] = str(entry.get("name", value))
    return dict(sorted(names.items()))


class _Rejected(Exception):
    """An annotation that cannot be used."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def _sound_annotations(
    content: CocoContent, images: Mapping[int, Entry], names: Mapping[int, str], faults: Faults
) -> list[SoundObject]:
    """Return those of sound images and categories with a box that has an area inside its image.

    Boxes are clipped to the image if its size is stated.
    """
    listed = {entry["id"] for entry in content.images if is_id(entry.get("id"))}
    sizes = {image_id: stated_size(entry) for image_id, entry in images.items()}
    seen: dict[int, Entry] = {}
    sound = []
    for entry in content.annotations:
        image_id, category_id = entry.get("image_id"), entry.get("category_id")
        image = images.get(image_id) if is_id(image_id) else None
        try:
            if image is None:
                if is_id(image_id) and image_id in listed:
                    faults.notes[Note.BOXES_OF_IMAGES] += 1
                    continue
                raise _Rejected(Fault.UNKNOWN_IMAGE)
            if not is_id(category_id) or category_id not in names:
                raise _Rejected(Fault.UNKNOWN_CATEGORY)
            box, beyond = _clip(_four_numbers(entry.get("bbox")), sizes[image["id"]])
            other = seen.setdefault(entry["id"], entry) if is_id(entry.get("id")) else entry
            if other is not entry and other == entry:
                raise _Rejected(Fault.ANNOTATION_REPEATED)
        except _Rejected as error:
            _add(faults, error.fault, entry, image)
            continue
        if other is not entry:
            _add(faults, Fault.ANNOTATION_ID_SHARED, entry, image)
        if beyond > ROUNDING:
            _add(faults, Fault.BOX_BEYOND, entry, image)
        sound.append(SoundObject(entry, box, _outlines(entry, image, faults)))
    return sound


def _add(faults: Faults, fault: Fault, entry: Entry, image: Entry | None) -> None:
    """Add the fault of an annotation with its box, if that can be drawn."""
    where = entry.get(WHERE)
    try:
        box = _four_numbers(entry.get("bbox")) if fault is not Fault.OUTLINE else None
    except _Rejected:
        box = None
    faults.add(
        fault,
        where if isinstance(where, str) else f"annotation {entry.get('id')}",
        str(image.get("file_name", "")) if image else "",
        box,
    )


def _four_numbers(box: object) -> Box:
    if not isinstance(box, list) or len(box) != 4 or not NUMBERS.issuperset(map(type, box)):
        raise _Rejected(Fault.BOX_NUMBERS)
    try:
        x, y, width, height = map(float, box)
    except OverflowError:
        x = y = width = height = math.inf
    if not math.isfinite(x + y + width + height):
        raise _Rejected(Fault.BOX_INFINITE)
    return x, y, width, height


def _clip(box: Box, size: tuple[int, int] | None) -> tuple[Box, float]:
    """Return the corners inside the image, and how far the box reaches beyond it in pixels."""
    x, y, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    if min(box[2:]) < _LEAST_SIDE:
        raise _Rejected(Fault.BOX_EMPTY)
    height, width = size or (math.inf, math.inf)
    beyond = max(-x, -y, right - width, bottom - height) if size else 0.0
    clipped = (max(x, 0.0), max(y, 0.0), min(right, width), min(bottom, height))
    if min(clipped[2] - clipped[0], clipped[3] - clipped[1]) < _LEAST_SIDE:
        raise _Rejected(Fault.BOX_OUTSIDE)
    return clipped, beyond


def _outlines(entry: Entry, image: Entry, faults: Faults) -> Outlines:
    """Return the sound polygons of an annotation; crowds and RLE masks have none."""
    if entry.get("iscrowd"):
        return ()
    given = entry.get("segmentation")
    if isinstance(given, dict):
        faults.notes[Note.RLE] += 1
        return ()
    polygons = given if isinstance(given, list) else []
    if sound := all(map(_is_outline, polygons)):
        outlines = polygons  # The list itself: COCO has a million of them.
    else:
        outlines = [polygon for polygon in polygons if _is_outline(polygon)]
    if not sound or not isinstance(given, list | None):
        _add(faults, Fault.OUTLINE, entry, image)
    return outlines


def _is_outline(polygon: Any) -> bool:
    """Tell whether it is a list of the coordinates of three corners or more, all finite."""
    try:
        return (
            isinstance(polygon, list)
            and len(polygon) >= _LEAST_NUMBERS
            and len(polygon) % 2 == 0
            and math.isfinite(sum(polygon))
        )
    except (TypeError, OverflowError):  # Not numbers, or too large ones.
        return False
