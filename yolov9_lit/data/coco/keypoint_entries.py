"""Which keypoints of a COCO-format file can be used: of its `categories` and `annotations`."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.image_entries import is_id
from yolov9_lit.data.coco.keypoint_layout import fault_of, layout_of_names
from yolov9_lit.data.coco.records import Records, values_of
from yolov9_lit.structures import KeypointLayout

_FARTHEST = 2.0**31  # Pixels that a keypoint may lie from the corner; 32 bits hold no more.
_ROUNDING = 1.0  # Pixels that one may lie outside of its box or image without being told.
_HALF = re.compile("[\ud800-\udfff]")  # Of a character: JSON can hold it, no text file can.
_TOGETHER = 2**15  # Annotations whose keypoints are Python's numbers at a time.


class SoundKeypoints(NamedTuple):
    """The keypoints of K annotations.

    Attributes:
        values: (K, J, 3) x and y in pixels and 0, 1 or 2; zeros where none can be used.
        wrong: which annotations (K,) have a fault.
        told: how many annotations have what is no fault.
    """

    values: np.ndarray
    wrong: Mapping[Fault, np.ndarray]
    told: Mapping[Note, int]


def sound_layouts(categories: Iterable[Entry], faults: Faults) -> dict[int, KeypointLayout]:
    """Return what the keypoints of the categories are that have some, by id; the same of all.

    Categories give "keypoints" (names) and "skeleton" (pairs, from 1) as COCO's do; "sigmas" and
    "mirrored" (from 0) too where names do not tell them. Those of the first count; what another one
    states besides is told.
    """
    layouts: dict[int, KeypointLayout] = {}
    for entry in categories:
        given, value = entry.get("keypoints"), entry.get("id")
        if not given or not is_id(value) or value in layouts:
            continue
        if not _are_names(given):
            faults.add(Fault.KEYPOINT_NAMES, f"category {value}")
        elif not layouts:
            names = layout_of_names(given)
            layouts[value] = _stated(names, entry, faults, f"category {value}")
        elif tuple(given) == (layout := next(iter(layouts.values()))).names:
            layouts[value] = layout
            if _stated(layout, entry, faults, f"category {value}") != layout:
                first = f"category {next(iter(layouts))}"
                faults.add(Fault.KEYPOINT_LAYOUTS_DIFFER, f"category {value}", detail=first)
        else:
            first = f"category {next(iter(layouts))}"
            faults.add(Fault.KEYPOINTS_DIFFER, f"category {value}", detail=first)
            return {}
    return layouts


def _are_names(given: Any) -> bool:
    named = isinstance(given, list) and all(isinstance(name, str) and name for name in given)
    return named and len({*given}) == len(given) and not _HALF.search("".join(given))


_PARTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "skeleton": ("edges", lambda pairs: tuple((int(a) - 1, int(b) - 1) for a, b in pairs)),
    "mirrored": ("mirrored", lambda places: tuple(int(i) for i in places)),
    "sigmas": ("sigmas", lambda sigmas: tuple(float(sigma) for sigma in sigmas)),
}
"""Field of a layout that each key of a category states, and how it is read."""


def _stated(layout: KeypointLayout, entry: Entry, faults: Faults, what: str) -> KeypointLayout:
    """Return a layout with what a category states of its names; a part that does not fit is not."""
    for key, (field, read) in _PARTS.items():
        if entry.get(key) is None:
            continue
        try:
            stated = layout._replace(**{field: read(entry[key])})
            fault = fault_of(stated)
        except (TypeError, ValueError, OverflowError):
            fault = "it is no list of numbers"
        if fault:
            faults.add(Fault.KEYPOINT_LAYOUT, f"{what}, {key}: {fault}")
        else:
            layout = stated
    return layout


def sound_keypoints(
    entries: Sequence[Entry],
    rows: np.ndarray,
    corners: np.ndarray,
    size: np.ndarray,
    count: int,
) -> SoundKeypoints:
    """Return the keypoints of annotations.

    Args:
        entries: of the file.
        rows: (K,) positions of the annotations among them.
        corners: (K, 4) of their boxes inside the images, in pixels.
        size: (K, 2) width and height of their images.
        count: keypoints of an object; with 0 none is looked at.
    """
    if not count:
        return SoundKeypoints(np.zeros((len(rows), 0, 3)), {}, {})
    values, odd = _numbers(entries, rows, 3 * count)
    visibility = values[..., 2]
    far = ~(np.abs(values) < _FARTHEST).all(axis=(1, 2))
    strange = ~np.isin(visibility, (0, 1, 2)).all(axis=1) & ~far
    values[far | strange] = 0
    values[visibility == 0] = 0  # Where what is not annotated lies says nothing.
    beyond = _outside(values, np.concatenate([np.zeros_like(size), size], axis=1))
    stated = _stated_counts(entries, rows)
    differing = (stated != (visibility > 0).sum(axis=1)) & ~np.isnan(stated)
    wrong = {
        Fault.KEYPOINT_NUMBERS: odd,
        Fault.KEYPOINT_INFINITE: far,
        Fault.KEYPOINT_VISIBILITY: strange,
        Fault.KEYPOINT_COUNT: differing & ~(odd | far | strange),
    }
    told = {Note.KEYPOINTS_BEYOND: beyond, Note.KEYPOINTS_OUTSIDE: _outside(values, corners)}
    return SoundKeypoints(values, wrong, {note: int(mask.sum()) for note, mask in told.items()})


def tell_unnamed(entries: Sequence[Entry], faults: Faults) -> None:
    """Note how many annotations have keypoints, where no category names any."""
    if isinstance(entries, Records):
        unnamed = sum(len(record.keypoints) > len("null") for record in entries.records)
    else:
        unnamed = sum(bool(entry.get("keypoints")) for entry in entries)
    if unnamed:
        faults.notes[Note.KEYPOINTS_UNNAMED] += unnamed


def leave_unnamed(keypoints: np.ndarray, named: np.ndarray, faults: Faults) -> None:
    """Note how many annotations have keypoints that their category does not name; zero these.

    Args:
        keypoints: (K, J, 3), changed in place.
        named: (K,) bool, whether the category names keypoints.
        faults: gets the note.
    """
    unnamed = ~named & (keypoints[..., 2] > 0).any(axis=1)
    keypoints[unnamed] = 0
    if unnamed.any():
        faults.notes[Note.KEYPOINTS_UNNAMED] += int(unnamed.sum())


def _numbers(
    entries: Sequence[Entry], rows: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers (K, count / 3, 3) that annotations give; zeros, and True, of others.

    Args:
        entries: of the file.
        rows: (K,) positions among them.
        count: of numbers that an annotation has to have.
    """
    values = values_of(entries, "keypoints", rows.tolist(), [True] * len(rows))
    odd, blank, parts = [], [0.0] * count, []
    while some := [*islice(values, _TOGETHER)]:
        numbers = array("d")
        for value in some:
            begun = len(numbers)
            try:
                if isinstance(value, list) and len(value) == count:
                    numbers.fromlist(value)
            except (TypeError, OverflowError):
                del numbers[begun:]
            odd.append(len(numbers) == begun and value not in (None, []))
            if len(numbers) == begun:
                numbers.fromlist(blank)
        parts.append(np.array(numbers))
    flat = np.concatenate(parts) if parts else np.zeros(0)
    return flat.reshape(-1, count // 3, 3), np.array(odd, dtype=bool)


def _stated_counts(entries: Sequence[Entry], rows: np.ndarray) -> np.ndarray:
    """Return the numbers of keypoints (K,) that annotations state; NaN where they state none."""
    if isinstance(entries, Records):
        stated: list[Any] = [entries.records[i].num_keypoints for i in rows.tolist()]
    else:
        stated = [entries[i].get("num_keypoints") for i in rows.tolist()]
    counts = [number if number is None or is_id(number) else -1 for number in stated]
    return np.array(counts, dtype=float)


def _outside(values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Tell which annotations (K,) have an annotated keypoint outside of corners (K, 4)."""
    left, top, right, bottom = (side[:, None] for side in corners.T)
    x, y, visibility = (values[..., i] for i in range(3))
    aside = np.maximum(left - x, x - right) > _ROUNDING
    above = np.maximum(top - y, y - bottom) > _ROUNDING
    outside: np.ndarray = ((aside | above) & (visibility > 0)).any(axis=1)
    return outside
