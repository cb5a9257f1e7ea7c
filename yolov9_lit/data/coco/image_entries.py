"""Which entries of a COCO-format file's `images` can be used: their image is there."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple, TypeGuard

import numpy as np

from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.images import image_size

NUMBERS = frozenset({int, float})
"""Types of JSON's numbers; not bool, which is an int to `isinstance`."""

_LARGEST_SIDE = 2**31


class FileState(NamedTuple):
    """Bytes of a file, and when it was written in nanoseconds."""

    size: int
    time: int


Listing = Callable[[str], Mapping[str, FileState]]
"""Gives the files of a folder by name, as `list_files` does."""


def list_files(folder: str) -> dict[str, FileState]:
    """Return the files of a folder by name; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            files = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    except (OSError, ValueError):  # A name can hold what no path can.
        return {}
    return {name: FileState(stat.st_size, stat.st_mtime_ns) for name, stat in files}


def sound_images(
    entries: Sequence[Entry], folder: Path, faults: Faults, listing: Listing = list_files
) -> dict[int, Entry]:
    """Return the entries that can be used by id, in the file's order, each with its size.

    Args:
        entries: of the file.
        folder: that the file names start from.
        faults: what is wrong is added.
        listing: of the folders that the files lie in.
    """
    present = _present(_identified(entries, faults), folder, faults, listing)
    return {entry["id"]: entry for entry in _sized(present, folder, faults)}


def is_id(value: object) -> TypeGuard[int]:
    """Tell whether it is a whole number that an array can hold."""
    return type(value) is int and abs(value) < 2**63


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether it is a number, NaN and infinities included."""
    return type(value) in NUMBERS


def stated_size(entry: Entry) -> tuple[int, int] | None:
    """Return the height and width in pixels that an entry states; None if it states none.

    Fractions of a pixel are none: no image has them.
    """
    height, width = entry.get("height"), entry.get("width")
    if not is_number(height) or not is_number(width):
        return None
    sides_fit = all(1 <= s < _LARGEST_SIDE and s == int(s) for s in (height, width))
    return (int(height), int(width)) if sides_fit else None


def sizes_of(entries: Iterable[Entry]) -> np.ndarray:
    """Return the heights and widths (N, 2) of entries; infinite where one states none."""
    sizes = [stated_size(entry) or (math.inf, math.inf) for entry in entries]
    return np.array(sizes, dtype=float).reshape(-1, 2)


def _identified(entries: Sequence[Entry], faults: Faults) -> list[Entry]:
    """Return those with an id and a file name of their own.

    Of an entry that is there twice the first counts. Where different images share an id, nothing
    tells which of them the annotations belong to: all of them are left out.
    """
    names: dict[int, set[str]] = {}
    first: list[Entry] = []
    for entry in entries:
        value, name = entry.get("id"), entry.get("file_name")
        if not is_id(value):
            faults.add(Fault.IMAGE_ID, f"{name!r}")
        elif not isinstance(name, str) or not name:
            faults.add(Fault.IMAGE_NAME, f"image {value}")
        elif value in names:
            if name in names[value]:
                faults.add(Fault.IMAGE_REPEATED, f"image {value}", name)
            names[value].add(name)
        else:
            names[value] = {name}
            first.append(entry)
    files: set[str] = set()
    for entry in first:
        name = entry["file_name"]
        if (file := os.path.normpath(name)) in files:
            faults.add(Fault.IMAGE_FILE_SHARED, f"image {entry['id']}: {name}", name)
        files.add(file)
    for value, shared in names.items():
        for name in sorted(shared) if len(shared) > 1 else ():
            faults.add(Fault.IMAGE_ID_SHARED, f"image {value}: {name}", name)
    return [entry for entry in first if len(names[entry["id"]]) == 1]


def folder_of(folder: Path, name: str) -> str:
    """Return the folder that a file lies in whose name starts from another."""
    return os.path.dirname(os.path.join(folder, name))


def _present(
    entries: Sequence[Entry], folder: Path, faults: Faults, listing: Listing
) -> Iterable[Entry]:
    """Yield those with a file that is not empty; a folder is listed once for all its files."""
    places = [_place(entry["file_name"]) for entry in entries]
    heads = {head for head, _ in places}
    files = {head: listing(folder_of(folder, os.path.join(head, ""))) for head in heads}
    for entry, (head, base) in zip(entries, places, strict=True):
        file = files[head].get(base)
        if file and file.size:
            yield entry
        else:
            missing = Fault.IMAGE_EMPTY if file else Fault.IMAGE_MISSING
            faults.add(missing, entry["file_name"])


def _place(name: str) -> tuple[str, str]:
    """Return the folder and the file of a name; many are looked at, so seldom by `pathlib`."""
    return os.path.split(str(PurePath(name)) if name.endswith(("/", "/.")) else name)


def _sized(entries: Iterable[Entry], folder: Path, faults: Faults) -> Iterable[Entry]:
    """Yield the entries with a size, from the image's header if the file states none."""
    for entry in entries:
        if stated_size(entry) is None:
            name = entry["file_name"]
            size = image_size(folder / name)
            if size is None:
                faults.add(Fault.IMAGE_SIZELESS, name)
                continue
            faults.add(Fault.IMAGE_SIZE_TAKEN, name)
            entry = entry | {"height": size[0], "width": size[1]}
        yield entry
