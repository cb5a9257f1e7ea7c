"""Which entries of a COCO-format file's `annotations` can be used: a box, a class, an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.coco.annotation_columns import NO_ID, Columns, Said
from yolov9_lit.data.coco.faults import Box, Fault, Faults, Note
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.keypoint_entries import sound_keypoints
from yolov9_lit.data.coco.outline_entries import Outlines, outlines_of, sound_outlines
from yolov9_lit.data.polygons import FlatPolygons

ROUNDING = 1.0
"""Pixels that a box may lie beyond its image's edge without being called a fault."""

WHERE = "where"
"""Key of an annotation's place in its source, told with its faults in place of its id."""

_ROUNDING_OF_AREA = 2.0  # Pixels that a side may be longer than stated.
_PLACES = 100  # Boxes are one if they are the same to a hundredth of a pixel.
_LEAST_SIDE = 0.01  # Pixels; less is nothing in 32-bit coordinates of large images.
_FAR = 0.01  # Of an image's side: more than rounding.
_FEWEST = 8  # Boxes from which on it shows whether they are x, y, width and height in pixels.


class SoundObject(NamedTuple):
    """A sound entry of `annotations`.

    Attributes:
        entry: as it was given.
        box: its corners (x1, y1, x2, y2) inside the image, in pixels.
        outlines: its polygons, which span the box, of a mask those that were traced; none for
            crowds.
        crowd: whether it is a region of many objects.
        area: of the object in square pixels, by which the metric calls it small, medium or large.
        keypoints: (J, 3) x and y in pixels and 0, 1 or 2; J is 0 where no category has any.
    """

    entry: Entry
    box: Box
    outlines: Outlines
    crowd: bool
    area: float
    keypoints: np.ndarray


class SoundAnnotations(NamedTuple):
    """K sound entries of `annotations` in arrays, grouped by image.

    Attributes:
        entry: (K,) position of each among the file's.
        row: (K,) position of its image among the sound ones.
        label: (K,) position of its category likewise.
        crowd: (K,) bool, whether it is a region of many objects.
        given: (K, 4) x, y, width and height as they were written.
        corners: (K, 4) x1, y1, x2, y2 inside the image, in pixels.
        area: (K,) square pixels, by which the metric calls an object small, medium or large.
        polygons: outlines, which span the boxes; none for crowds, and for RLE masks until they are
            traced.
        keypoints: (K, J, 3) x and y in pixels as they were written, and 0 (then all three are), 1
            or 2.
    """

    entry: np.ndarray
    row: np.ndarray
    label: np.ndarray
    crowd: np.ndarray
    given: np.ndarray
    corners: np.ndarray
    area: np.ndarray
    polygons: FlatPolygons
    keypoints: np.ndarray

    def objects(self, entries: Sequence[Entry]) -> list[SoundObject]:
        """Return them one by one, in the order of the file's entries."""
        order = np.argsort(self.entry)
        columns = (self.entry, self.corners, self.crowd, self.area)
        rows = zip(order.tolist(), *(column[order].tolist() for column in columns), strict=True)
        return [
            SoundObject(
                entries[i],
                tuple(box),
                outlines_of(entries[i], self.polygons, k),
                crowd,
                area,
                self.keypoints[k],
            )
            for k, i, box, crowd, area in rows
        ]

    def tell(
        self,
        k: int,
        fault: Fault,
        entries: Sequence[Entry],
        images: Sequence[Entry],
        faults: Faults,
    ) -> None:
        """Add a fault of the k-th of them, given the file's entries and the N sound images."""
        x, y, width, height = self.given[k].tolist()
        name = str(images[self.row[k]]["file_name"])
        faults.add(fault, place_of(entries[self.entry[k]]), name, (x, y, width, height))


def place_of(entry: Entry) -> str:
    """Return what faults call an annotation: its place in its source, or its id."""
    where = entry.get(WHERE)
    return where if isinstance(where, str) else f"annotation {entry.get('id')}"


def sound_annotations(
    entries: Sequence[Entry],
    images: Mapping[int, Entry],
    sizes: np.ndarray,
    listed: Sequence[int],
    names: Mapping[int, str],
    keypoints: int,
    faults: Faults,
) -> SoundAnnotations:
    """Return those of sound images and categories with a box that has an area inside its image.

    Boxes are clipped to the image if its size is stated. Of several with the same class and box in
    an image the first counts. The box is what the metric measures: an outline that does not span it
    is left out.

    Args:
        entries: of the file.
        images: the N sound ones by id.
        sizes: (N, 2) their heights and widths, infinite where they state none.
        listed: ids of all images that the file lists.
        names: of the sound categories by id.
        keypoints: of an object.
        faults: what is wrong is added.
    """
    count = len(entries)
    with np.errstate(invalid="ignore", over="ignore"):  # Of boxes that are told for it.
        said = Said.by(entries)
        columns = Columns.of(said, images, sizes, names)
        wrong, kept = _judge(said, columns, listed, faults)
        columns = columns.take(kept)
        first = ~_repeats(columns)
        wrong[Fault.OBJECT_REPEATED] = _among(kept[~first], count)
        kept, columns = kept[first], columns.take(first)
        wrong[Fault.ANNOTATION_ID_SHARED] = _among(kept[_shared_ids(columns.number)], count)
        corners, crowd = columns.inside(), columns.crowd == 1
        outlines = sound_outlines(entries, kept, crowd, corners, columns.size)
        points = sound_keypoints(entries, kept, corners, columns.size, keypoints)
        area, odd = _areas(columns)
        for fault, mask in (
            (Fault.BOX_BEYOND, columns.beyond() > ROUNDING),
            (Fault.OUTLINE, outlines.broken),
            (Fault.OUTLINE_ELSEWHERE, outlines.off),
            (Fault.OUTLINE_FLAT, outlines.flat),
            (Fault.AREA, odd),
            *points.wrong.items(),
        ):
            wrong[fault] = _among(kept[mask], count)
    if masks := int(outlines.masks.sum()):
        faults.notes[Note.RLE] += masks
    faults.notes.update({note: number for note, number in points.told.items() if number})
    _tell(wrong, entries, said, images, faults)
    _tell_form(columns, faults)
    by_image = np.argsort(columns.row, kind="stable")
    arrays = (kept, columns.row, columns.label, crowd, columns.given, corners, area)
    return SoundAnnotations._make(
        [
            *(array[by_image] for array in arrays),
            outlines.polygons.take(by_image),
            points.values[by_image],
        ]
    )


def _judge(
    said: Said, columns: Columns, listed: Sequence[int], faults: Faults
) -> tuple[dict[Fault, np.ndarray], np.ndarray]:
    """Return which entries (M,) have each fault as their first one, and the rows that have none."""
    known = np.array([*listed, NO_ID], dtype=np.int64)
    of_images = (columns.row < 0) & (said.image != NO_ID) & np.isin(said.image, known)
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
    return wrong, np.flatnonzero(left)


def _tell(
    wrong: Mapping[Fault, np.ndarray],
    entries: Sequence[Entry],
    said: Said,
    images: Mapping[int, Entry],
    faults: Faults,
) -> None:
    """Add the faults of entries (M,), in the entries' order and then in that of the faults."""
    found = [(i, fault) for fault, mask in wrong.items() for i in np.flatnonzero(mask).tolist()]
    for i, fault in sorted(found, key=lambda pair: pair[0]):
        entry, image = entries[i], images.get(int(said.image[i]))
        x, y, width, height = said.given[i].tolist()
        boxed = fault is not Fault.OUTLINE and math.isfinite(x + y + width + height)
        faults.add(
            fault,
            place_of(entry),
            str(image.get("file_name", "")) if image else "",
            (x, y, width, height) if boxed else None,
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


def _repeats(columns: Columns) -> np.ndarray:
    """Tell which objects (M,) have the image, class and box of one before them.

    Equal ones have an equal sum of their bits; the few that share one are compared.
    """
    corners = np.rint(columns.inside() * _PLACES) + 0.0  # Not -0.0, whose bits are others.
    rows = np.column_stack([columns.row, columns.label, columns.crowd, corners])
    factors = np.random.default_rng(0).integers(2**63, size=rows.shape[1], dtype=np.uint64)
    sums = (rows.view(np.uint64) * (2 * factors + 1)).sum(axis=1)
    repeats = np.zeros(len(rows), dtype=bool)
    seen: set[tuple[float, ...]] = set()
    for i in np.flatnonzero(np.isin(sums, _shared(sums))).tolist():
        row = tuple(rows[i].tolist())
        repeats[i] = row in seen
        seen.add(row)
    return repeats


def _shared_ids(numbers: np.ndarray) -> np.ndarray:
    """Tell which annotations (M,) have the id of one before them."""
    shared = np.zeros(len(numbers), dtype=bool)
    among = np.flatnonzero(np.isin(numbers, _shared(numbers)) & (numbers != NO_ID))
    _, first = np.unique(numbers[among], return_index=True)
    shared[among] = True
    shared[among[first]] = False
    return shared


def _shared(values: np.ndarray) -> np.ndarray:
    """Return the values that are there more than once; some of them several times."""
    ordered = np.sort(values)
    return ordered[1:][ordered[1:] == ordered[:-1]]


def _areas(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Return the area (M,) of each object, and where the stated one (M,) is none of such a box.

    The box's area is used there, and where none is stated: an object of an area outside all of the
    metric's ranges would count nowhere.
    """
    areas, sides = columns.area, columns.given[:, 2:]
    possible = (areas > 0) & (areas <= (sides + _ROUNDING_OF_AREA).prod(axis=1))
    return np.where(possible, areas, sides.prod(axis=1)), columns.stated & ~possible


def _among(rows: np.ndarray, count: int) -> np.ndarray:
    """Return a mask (count,) of rows."""
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return mask
