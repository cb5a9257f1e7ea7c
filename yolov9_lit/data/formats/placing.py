"""What the writers share: pictures brought to their place, numbers, what no other format holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from yolov9_lit.data.formats.source import SourceData, SourcePicture


class Plain(NamedTuple):
    """A data set without what only COCO's format holds, and sentences on what there was of it."""

    data: SourceData
    lost: tuple[str, ...]


def plain(data: SourceData) -> Plain:
    """Leaves out regions of crowds, and gives each picture of a split a stem of its own."""
    crowds, renamed = 0, []
    splits: dict[str, list[SourcePicture]] = {}
    for split, pictures in data.splits.items():
        splits[split] = []
        for given, picture in zip(pictures, with_own_stems(pictures), strict=True):
            single = [entry for entry in picture.objects if not entry.crowd]
            crowds += len(picture.objects) - len(single)
            if picture.name != given.name:
                renamed.append(f"{given.name} is {picture.name}")
            splits[split].append(picture._replace(objects=single))
    lost = [f"{crowds:,} regions of crowds are left out"] if crowds else []
    if renamed:
        more = ", ..." if len(renamed) > 1 else ""
        names = f"{len(renamed):,} names that differ from another in their ending only"
        lost.append(f"{names}: {renamed[0]}{more}")
    return Plain(data._replace(splits=splits), tuple(lost))


def digits(value: float, decimals: int) -> str:
    """A number without zeros at its end."""
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def with_own_stems(pictures: Sequence[SourcePicture]) -> Iterator[SourcePicture]:
    """Renames pictures of a split that would share a label file with one before them.

    Of cut.jpg and cut.png the second becomes cut_png.png.
    """
    taken = {stem(picture.name) for picture in pictures}
    given: set[str] = set()
    for picture in pictures:
        own, ending = stem(picture.name), PurePosixPath(picture.name).suffix
        if own in given:
            own = f"{own}_{ending[1:]}"
            while own in taken:
                own += "_"
            taken.add(own)
            picture = picture._replace(name=own + ending)
        given.add(own)
        yield picture


def stem(name: str) -> str:
    """A picture's name without its ending, which label files and lists leave out."""
    return PurePosixPath(name).with_suffix("").as_posix()


def place(source: Path, target: Path) -> None:
    """A hard link where the file system allows, a copy elsewhere."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(source, target)
