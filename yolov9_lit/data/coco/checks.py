"""Which entries of a COCO-format file can be used; every other one becomes a `Problem`.

Training and the metric read their files through here, so both leave out the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.problems import Problems

ROUNDING = 1.0
"""Pixels that a box may lie beyond its image's edge without being called a fault."""

Box = tuple[float, float, float, float]


class Rejected(ValueError):
    """An annotation that cannot be used; the message says why, as a `Problem.kind`."""


def usable_categories(entries: Sequence[Entry], problems: Problems) -> dict[int, str]:
    """Names by id, in the order of the ids; of an id given twice the first counts."""
    names: dict[int, str] = {}
    for entry in entries:
        value = entry.get("id")
        if not is_id(value):
            problems.add("categories without a whole-number id are left out", f"id {value!r}")
        elif value in names:
            problems.add("categories repeat an id and are left out", f"category {value}")
        else:
            names[value] = str(entry.get("name", value))
    return dict(sorted(names.items()))


def usable_images(entries: Sequence[Entry], problems: Problems) -> list[Entry]:
    """Those with an id and a file name of their own.

    Of an entry that is there twice the first counts. Where different images share an id it is
    unknown whose the annotations are: all of them are left out.
    """
    names: dict[int, set[str]] = {}
    usable: list[Entry] = []
    for entry in entries:
        value, name = entry.get("id"), entry.get("file_name")
        if not is_id(value):
            problems.add("images without a whole-number id are left out", f"{name!r}")
        elif not isinstance(name, str) or not name:
            problems.add("images without a file_name are left out", f"image {value}")
        elif value in names:
            if name in names[value]:
                kind = "entries of images repeat another and are left out"
                problems.add(kind, f"image {value}", name)
            names[value].add(name)
        else:
            names[value] = {name}
            usable.append(entry)
    for value, shared in names.items():
        if len(shared) > 1:
            kind = "image ids are those of several images, all left out"
            problems.add(kind, f"image {value}: {', '.join(sorted(shared))}")
    return [entry for entry in usable if len(names[entry["id"]]) == 1]


def stated_size(entry: Entry) -> tuple[int, int] | None:
    """Height and width in pixels that an entry of `images` states; None where it does not."""
    height, width = entry.get("height"), entry.get("width")
    if not is_number(height) or not is_number(width):
        return None
    sides_fit = 1 <= height < _LARGEST_SIDE and 1 <= width < _LARGEST_SIDE
    return (int(height), int(width)) if sides_fit else None


def usable_annotations(
    entries: Sequence[Entry],
    images: Mapping[int, Entry],
    listed: Iterable[int],
    category_ids: Iterable[int],
    problems: Problems,
) -> tuple[list[Entry], list[Box]]:
    """Those of usable images and categories whose box has an area inside its image.

    Args:
        entries: of the file.
        images: usable entries of `images` by id.
        listed: ids of all entries of `images`.
        category_ids: the usable ones.
        problems: what is wrong is added.

    Returns:
        The entries, and for each its box: x1, y1, x2, y2 in pixels, clipped to the image where
        its size is stated.
    """
    known_images, known_categories = set(listed), set(category_ids)
    sizes = {image_id: stated_size(entry) for image_id, entry in images.items()}
    seen: dict[int, Entry] = {}
    usable, boxes = [], []
    for entry in entries:
        image_id, label = entry.get("image_id"), entry.get("category_id")
        image = images.get(image_id) if is_id(image_id) else None
        if image is None and is_id(image_id) and image_id in known_images:
            problems.notes["boxes are left out with their images"] += 1
            continue
        where = f"annotation {entry.get('id')}"
        name = str(image.get("file_name", "")) if image else ""
        try:
            if image is None:
                raise Rejected(f"{_KIND} an unknown image_id and are left out")
            if not is_id(label) or label not in known_categories:
                raise Rejected(f"{_KIND} an unknown category_id and are left out")
            numbers = _four_numbers(entry.get("bbox"))
            clipped, beyond = _clip(numbers, sizes[image["id"]])
            if _repeats(entry, seen, problems, name):
                raise Rejected("annotations are exact copies of another and are left out")
        except Rejected as fault:
            problems.add(str(fault), where, name, _drawable(entry.get("bbox")))
            continue
        if beyond > ROUNDING:
            kind = "boxes reach beyond their image's edge and are clipped"
            problems.add(kind, where, name, numbers)
        usable.append(entry)
        boxes.append(clipped)
    return usable, boxes


def is_id(value: object) -> TypeGuard[int]:
    """Whether it is a whole number that an array can hold."""
    return type(value) is int and abs(value) < 2**63


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number, NaN and infinities included."""
    return type(value) in _NUMBERS


_KIND = "annotations have"
_NUMBERS = {int, float}  # Not bool, which is an int to `isinstance`.
_LARGEST_SIDE = 2**31
_LEAST_SIDE = 0.01  # Pixels; less is nothing in 32-bit coordinates of large images.


def _four_numbers(box: object) -> Box:
    if not isinstance(box, list) or len(box) != 4 or not _NUMBERS.issuperset(map(type, box)):
        raise Rejected(f"{_KIND} a bbox that is not four numbers and are left out")
    try:
        x, y, width, height = map(float, box)
    except OverflowError:
        x = y = width = height = math.inf
    if not math.isfinite(x + y + width + height):
        raise Rejected(f"{_KIND} a bbox that is not finite and are left out")
    return x, y, width, height


def _clip(box: Box, size: tuple[int, int] | None) -> tuple[Box, float]:
    """Corners inside the image, and how far the box reaches beyond it."""
    if min(box[2:]) < _LEAST_SIDE:
        raise Rejected("boxes have no area and are left out")
    x, y, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    height, width = size or (math.inf, math.inf)
    beyond = max(-x, -y, right - width, bottom - height) if size else 0.0
    clipped = (max(x, 0.0), max(y, 0.0), min(right, width), min(bottom, height))
    if min(clipped[2] - clipped[0], clipped[3] - clipped[1]) < _LEAST_SIDE:
        raise Rejected("boxes lie outside their image and are left out")
    return clipped, beyond


def _repeats(entry: Entry, seen: dict[int, Entry], problems: Problems, image: str) -> bool:
    """Whether it is a copy of an earlier one; ids say nothing else that is needed."""
    value = entry.get("id")
    if not is_id(value):
        return False
    other = seen.setdefault(value, entry)
    if other is entry or other == entry:
        return other is not entry
    kind = "annotations share an id with a different one and are kept"
    problems.add(kind, f"annotation {value}", image, _drawable(entry.get("bbox")))
    return False


def _drawable(box: object) -> Box | None:
    try:
        return _four_numbers(box)
    except Rejected:
        return None
