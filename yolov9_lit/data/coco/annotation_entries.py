"""Which entries of a COCO-format file's `annotations` can be used: a box, a class, an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.coco.faults import Box, Fault, Faults, Note
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.image_entries import NUMBERS, is_id, is_number, stated_size

ROUNDING = 1.0
"""Pixels that a box may lie beyond its image's edge without being called a fault."""

WHERE = "where"
"""Key of an annotation's place in its source, told with its faults in place of its id."""

_OUTLINE_ROUNDING = 2.0  # Pixels between a box and the bounds of its outline: both may be rounded.
_DECIMALS = 2  # Boxes are one if they are the same to a hundredth of a pixel.
_LEAST_SIDE = 0.01  # Pixels; less is nothing in 32-bit coordinates of large images.
_FEWEST = 8  # Boxes from which on it shows whether they are x, y, width and height in pixels.
_LEAST_NUMBERS = 6  # A polygon has at least three corners of two numbers.
_FARTHEST = 2.0**31  # Pixels that an outline may reach beyond its image.
_CROWD = {None: False, 0: False, 1: True, "0": False, "1": True}  # True is 1, 0.0 is 0.

Outlines = Sequence[Sequence[float]]
"""Polygons [x1, y1, x2, y2, ...] in pixels, each of three corners or more, all finite."""


class SoundObject(NamedTuple):
    """A sound entry of `annotations`.

    Attributes:
        entry: as it was given.
        box: its corners (x1, y1, x2, y2) inside the image, in pixels.
        outlines: its polygons, which span the box; none for crowds and RLE masks.
        crowd: whether it is a region of many objects.
        area: of the object in square pixels, by which the metric calls it small, medium or large.
    """

    entry: Entry
    box: Box
    outlines: Outlines
    crowd: bool
    area: float


class _Rejected(Exception):
    """An annotation that cannot be used."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def sound_annotations(
    entries: Sequence[Entry],
    images: Mapping[int, Entry],
    listed: set[int],
    names: Mapping[int, str],
    faults: Faults,
) -> list[SoundObject]:
    """Return those of sound images and categories with a box that has an area inside its image.

    Boxes are clipped to the image if its size is stated. Of several with the same class and box in
    an image the first counts. The box is what the metric measures: an outline that does not span it
    is left out.

    Args:
        entries: of the file.
        images: the sound ones by id.
        listed: ids of all images that the file lists.
        names: of the sound categories by id.
        faults: what is wrong is added.
    """
    sizes = {image_id: stated_size(entry) for image_id, entry in images.items()}
    ids: set[int] = set()
    objects: set[tuple[object, ...]] = set()
    sound = []
    for entry in entries:
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
            crowd = _is_crowd(entry.get("iscrowd"))
            given = _four_numbers(entry.get("bbox"))
            box, beyond = _clip(given, sizes[image["id"]])
            x1, y1, x2, y2 = box
            place = round(x1, _DECIMALS), round(y1, _DECIMALS), round(x2, _DECIMALS)
            key = (image_id, category_id, crowd, *place, round(y2, _DECIMALS))
            if key in objects:
                raise _Rejected(Fault.OBJECT_REPEATED)
        except _Rejected as error:
            _add(faults, error.fault, entry, image)
            continue
        objects.add(key)
        if is_id(number := entry.get("id")):
            if number in ids:
                _add(faults, Fault.ANNOTATION_ID_SHARED, entry, image)
            ids.add(number)
        if beyond > ROUNDING:
            _add(faults, Fault.BOX_BEYOND, entry, image)
        outlines = () if crowd else _outlines(entry, image, faults)
        if outlines and not _span(outlines, box, sizes[image["id"]]):
            _add(faults, Fault.OUTLINE_ELSEWHERE, entry, image)
            outlines = ()
        area = _area(entry, given[2], given[3])
        if area is None:
            _add(faults, Fault.AREA, entry, image)
            area = given[2] * given[3]
        sound.append(SoundObject(entry, box, outlines, crowd, area))
    _tell_form([(item.entry["bbox"], sizes[item.entry["image_id"]]) for item in sound], faults)
    return sound


def _tell_form(boxes: Sequence[tuple[Box, tuple[int, int] | None]], faults: Faults) -> None:
    """Add a fault if sound boxes do not look like x, y, width and height in pixels.

    Most may lie in their images' first pixel, as fractions do; or all fit their images as two
    corners, and many do not as they should.

    Args:
        boxes: as they are given, with the heights and widths of their images.
        faults: what is wrong is added.
    """
    if len(boxes) < _FEWEST:
        return
    given = np.array([box for box, _ in boxes], dtype=float)
    size = np.array([size or (math.inf, math.inf) for _, size in boxes])[:, ::-1]
    end = given[:, :2] + given[:, 2:]
    fractions = int((end <= 1 + _LEAST_SIDE).all(axis=1).sum())
    if fractions > len(boxes) / 2:
        faults.add(Fault.FRACTIONS, f"{fractions:,} of {len(boxes):,} are in the first pixel")
    as_corners = (given[:, :2] < given[:, 2:]) & (given[:, 2:] <= size)
    beyond = int((end > size + ROUNDING).any(axis=1).sum())
    if as_corners.all() and beyond > len(boxes) / 3:
        faults.add(Fault.CORNERS, f"{beyond:,} of {len(boxes):,} reach beyond their image")


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


def _area(entry: Entry, width: float, height: float) -> float | None:
    """Return the area that is stated, or else the box's; None for one that no such box can have.

    An object of an area outside all of the metric's ranges would count nowhere.
    """
    area = entry.get("area")
    if area is None:
        return width * height
    most = (width + _OUTLINE_ROUNDING) * (height + _OUTLINE_ROUNDING)
    return area if is_number(area) and 0 < area <= most else None


def _is_crowd(value: Any) -> bool:
    try:
        return _CROWD[value]
    except (KeyError, TypeError):
        raise _Rejected(Fault.CROWD) from None


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
    beyond = max(-x, -y, right - size[1], bottom - size[0]) if size else 0.0
    clipped = _inside((x, y, right, bottom), size)
    if min(clipped[2] - clipped[0], clipped[3] - clipped[1]) < _LEAST_SIDE:
        raise _Rejected(Fault.BOX_OUTSIDE)
    return clipped, beyond


def _inside(corners: Box, size: tuple[int, int] | None) -> Box:
    height, width = size or (math.inf, math.inf)
    x1, y1, x2, y2 = corners
    return max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)


def _outlines(entry: Entry, image: Entry, faults: Faults) -> Outlines:
    """Return the sound polygons of an annotation; RLE masks have none."""
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


def _span(outlines: Outlines, box: Box, size: tuple[int, int] | None) -> bool:
    """Tell whether the outlines span the box inside the image, to a pixel or two."""
    points = outlines[0] if len(outlines) == 1 else [*chain.from_iterable(outlines)]
    xs, ys = points[::2], points[1::2]
    bounds = min(xs), min(ys), max(xs), max(ys)
    if max(map(abs, bounds)) >= _FARTHEST:  # 32 bits would make it infinite.
        return False
    x1, y1, x2, y2 = _inside(bounds, size)
    off = max(abs(x1 - box[0]), abs(y1 - box[1]), abs(x2 - box[2]), abs(y2 - box[3]))
    return off <= _OUTLINE_ROUNDING
