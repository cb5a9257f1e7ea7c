"""Which entries of a COCO-format file's `annotations` can be used: a box, a class, an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.coco.annotation_columns import NO_BOX, Columns, clip, floats, four_numbers
from yolov9_lit.data.coco.faults import Box, Fault, Faults, Note
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.image_entries import is_id, is_number
from yolov9_lit.data.coco.outline_entries import Outlines, bounds, sound_outlines

ROUNDING = 1.0
"""Pixels that a box may lie beyond its image's edge without being called a fault."""

WHERE = "where"
"""Key of an annotation's place in its source, told with its faults in place of its id."""

_OUTLINE_ROUNDING = 2.0  # Pixels between a box and the bounds of its outline: both may be rounded.
_PLACES = 100  # Boxes are one if they are the same to a hundredth of a pixel.
_LEAST_SIDE = 0.01  # Pixels; less is nothing in 32-bit coordinates of large images.
_FAR = 0.01  # Of an image's side: more than rounding.
_FEWEST = 8  # Boxes from which on it shows whether they are x, y, width and height in pixels.
_FARTHEST = 2.0**31  # Pixels that an outline may reach beyond its image; 32 bits hold no more.


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
    with np.errstate(invalid="ignore", over="ignore"):  # Of boxes that are told for it.
        columns = Columns.of(entries, images, names)
        wrong, usable = _judge(entries, columns, listed, faults)
        kept = np.flatnonzero(usable)
        columns = columns.take(kept)
        corners = columns.inside()
        first = ~_repeats(np.column_stack([*columns[:3], np.rint(corners * _PLACES) + 0.0]))
        wrong[Fault.OBJECT_REPEATED] = _among(kept[~first], len(entries))
        kept, columns, corners = kept[first], columns.take(first), corners[first]
        sound = [entries[i] for i in kept.tolist()]
        crowd = columns.crowd == 1
        outlines, broken = sound_outlines(sound, crowd, faults)
        off = ~_span(outlines, corners, columns.size)
        area, odd = _areas(sound, columns.given[:, 2:])
        for fault, mask in (
            (Fault.ANNOTATION_ID_SHARED, _shared_ids(sound)),
            (Fault.BOX_BEYOND, columns.beyond() > ROUNDING),
            (Fault.OUTLINE, broken),
            (Fault.OUTLINE_ELSEWHERE, off),
            (Fault.AREA, odd),
        ):
            wrong[fault] = _among(kept[mask], len(entries))
    _tell(wrong, entries, images, faults)
    _tell_form(columns, faults)
    for i in np.flatnonzero(off).tolist():
        outlines[i] = ()
    boxes = map(tuple, corners.tolist())
    rows = zip(sound, boxes, outlines, crowd.tolist(), area.tolist(), strict=True)
    return [*map(SoundObject._make, rows)]


def spans_box(outlines: Outlines, box: Box, size: tuple[float, float]) -> bool:
    """Return whether an object's outlines span its box, in an image of a height and width."""
    sides = np.array([size[::-1]], dtype=float)
    return bool(_span([outlines], np.array([box]), sides)[0])


def _judge(
    entries: Sequence[Entry], columns: Columns, listed: set[int], faults: Faults
) -> tuple[dict[Fault, np.ndarray], np.ndarray]:
    """Return which entries (M,) have each fault as their first one, and which have none."""
    of_images = np.zeros(len(entries), dtype=bool)
    for i in np.flatnonzero(columns.row < 0).tolist():
        image_id = entries[i].get("image_id")
        of_images[i] = is_id(image_id) and image_id in listed
    if count := int(of_images.sum()):
        faults.notes[Note.BOXES_OF_IMAGES] += count
    x, y, width, height = columns.given.T
    corners = columns.inside()
    checks = {
        Fault.UNKNOWN_IMAGE: columns.row < 0,
        Fault.UNKNOWN_CATEGORY: columns.label < 0,
        Fault.CROWD: columns.crowd < 0,
        Fault.BOX_NUMBERS: ~columns.four,
        Fault.BOX_INFINITE: ~np.isfinite(x + y + width + height),
        Fault.BOX_EMPTY: np.minimum(width, height) < _LEAST_SIDE,
        Fault.BOX_OUTSIDE: (corners[:, 2:] - corners[:, :2]).min(axis=1) < _LEAST_SIDE,
    }
    left = ~of_images
    wrong = {}
    for fault, mask in checks.items():
        wrong[fault] = left & mask
        left &= ~mask
    return wrong, left


def _tell(
    wrong: Mapping[Fault, np.ndarray],
    entries: Sequence[Entry],
    images: Mapping[int, Entry],
    faults: Faults,
) -> None:
    """Add the faults of entries (M,), in the entries' order and then in that of the faults."""
    found = [(i, fault) for fault, mask in wrong.items() for i in np.flatnonzero(mask).tolist()]
    for i, fault in sorted(found, key=lambda pair: pair[0]):
        entry = entries[i]
        image_id, where = entry.get("image_id"), entry.get(WHERE)
        image = images.get(image_id) if is_id(image_id) else None
        box = four_numbers(entry.get("bbox")) if fault is not Fault.OUTLINE else NO_BOX
        x, y, width, height = floats(box).tolist()
        faults.add(
            fault,
            where if isinstance(where, str) else f"annotation {entry.get('id')}",
            str(image.get("file_name", "")) if image else "",
            (x, y, width, height) if math.isfinite(x + y + width + height) else None,
        )


def _tell_form(columns: Columns, faults: Faults) -> None:
    """Add a fault if sound boxes do not look like x, y, width and height in pixels.

    Most may lie in their images' first pixel, as fractions do; or many reach beyond their images,
    as two corners do, which all fit, or a centre and a size, or percents.

    Args:
        columns: of the sound entries.
        faults: what is wrong is added.
    """
    given, end, size, count = columns.given, columns.end, columns.size, len(columns.row)
    if count < _FEWEST:
        return
    fractions = int((end <= 1 + _LEAST_SIDE).all(axis=1).sum())
    if fractions > count / 2:
        faults.add(Fault.FRACTIONS, f"{fractions:,} of {count:,} are in the first pixel")
    as_corners = (given[:, :2] < given[:, 2:]) & (given[:, 2:] <= size)
    beyond = int((end > size + ROUNDING).any(axis=1).sum())
    if as_corners.all() and beyond > count / 3:
        faults.add(Fault.CORNERS, f"{beyond:,} of {count:,} reach beyond their image")
        return
    far = (end > size * (1 + _FAR)) | (given[:, :2] < -_FAR * size)
    if (beyond := int(far.any(axis=1).sum())) > count / 3:
        faults.add(Fault.FORM, f"{beyond:,} of {count:,} reach beyond their image")


def _repeats(columns: np.ndarray) -> np.ndarray:
    """Return which rows (M,) of numbers (M, K) equal one before them.

    Equal rows have an equal sum of their bits; the few that share one are compared.
    """
    factors = np.random.default_rng(0).integers(2**63, size=columns.shape[1], dtype=np.uint64)
    sums = (columns.view(np.uint64) * (2 * factors + 1)).sum(axis=1)
    _, which, counts = np.unique(sums, return_inverse=True, return_counts=True)
    repeats = np.zeros(len(columns), dtype=bool)
    seen: set[tuple[float, ...]] = set()
    for i in np.flatnonzero(counts[which] > 1).tolist():
        row = tuple(columns[i].tolist())
        repeats[i] = row in seen
        seen.add(row)
    return repeats


def _shared_ids(entries: Sequence[Entry]) -> np.ndarray:
    """Return which entries (M,) have the id of one before them."""
    shared = np.zeros(len(entries), dtype=bool)
    ids: set[int] = set()
    for i, entry in enumerate(entries):
        if is_id(number := entry.get("id")):
            shared[i] = number in ids
            ids.add(number)
    return shared


def _span(outlines: Sequence[Outlines], corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return which outlines (M,) span their box inside the image, to a pixel or two; none does."""
    limits, outlined = bounds(outlines)
    spans = ~outlined
    off = np.abs(clip(limits, size[outlined]) - corners[outlined]).max(axis=1)
    spans[outlined] = (off <= _OUTLINE_ROUNDING) & (np.abs(limits) < _FARTHEST).all(axis=1)
    return spans


def _areas(entries: Sequence[Entry], sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the area (M,) of each object, and where the stated one (M,) is none of such a box.

    The box's area is used there, and where none is stated: an object of an area outside all of the
    metric's ranges would count nowhere.

    Args:
        entries: M of them.
        sides: (M, 2) of their boxes.
    """
    given = [entry.get("area") for entry in entries]
    stated = np.array([area is not None for area in given], dtype=bool)
    areas = floats([area if is_number(area) else math.nan for area in given])
    possible = (areas > 0) & (areas <= (sides + _OUTLINE_ROUNDING).prod(axis=1))
    return np.where(possible, areas, sides.prod(axis=1)), stated & ~possible


def _among(rows: np.ndarray, count: int) -> np.ndarray:
    """Return a mask (count,) of rows."""
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return mask
