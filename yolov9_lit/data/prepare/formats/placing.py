"""What the writers share: images brought to their place, numbers, what no other format holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from yolov9_lit.data.prepare.formats.source import SourceData, SourceImage


class Plain(NamedTuple):
    """A data set without what only COCO's format holds, and sentences on what there was of it."""

    data: SourceData
    lost: tuple[str, ...]


def plain(data: SourceData) -> Plain:
    """Leaves out regions of crowds, and gives each image of a split a stem of its own."""
    crowds, renamed = 0, []
    splits: dict[str, list[SourceImage]] = {}
    for split, images in data.splits.items():
        splits[split] = []
        for given, image in zip(images, with_own_stems(images), strict=True):
            single = [entry for entry in image.objects if not entry.crowd]
            crowds += len(image.objects) - len(single)
            if image.name != given.name:
                renamed.append(f"{given.name} is {image.name}")
            splits[split].append(image._replace(objects=single))
    lost = [f"{crowds:,} regions of crowds are left out"] if crowds else []
    if renamed:
        more = ", ..." if len(renamed) > 1 else ""
        names = f"{len(renamed):,} names that differ from another in their ending only"
        lost.append(f"{names}: {renamed[0]}{more}")
    return Plain(data._replace(splits=splits), tuple(lost))


def digits(value: float, decimals: int) -> str:
    """A number without zeros at its end."""
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def with_own_stems(images: Sequence[SourceImage]) -> Iterator[SourceImage]:
    """Renames images of a split that would share a label file with one before them.

    Of cut.jpg and cut.png the second becomes cut_png.png.
    """
    taken = {stem(image.name) for image in images}
    given: set[str] = set()
    for image in images:
        own, ending = stem(image.name), PurePosixPath(image.name).suffix
        if own in given:
            own = f"{own}_{ending[1:]}"
            while own in taken:
                own += "_"
            taken.add(own)
            image = image._replace(name=own + ending)
        given.add(own)
        yield image


def stem(name: str) -> str:
    """An image's name without its ending, which label files and lists leave out."""
    return PurePosixPath(name).with_suffix("").as_posix()


def place(source: Path, target: Path) -> None:
    """A hard link where the file system allows, a copy elsewhere."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(source, target)
