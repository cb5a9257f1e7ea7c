"""What the writers share: pictures brought to their place, numbers, what no other format holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from yolov9_lit.data.formats.source import SourceData, SourcePicture
from yolov9_lit.errors import UserError


class Plain(NamedTuple):
    """A data set without regions of crowds, and a sentence on them where there were any."""

    data: SourceData
    lost: tuple[str, ...]


def without_crowds(data: SourceData) -> Plain:
    """Leaves out regions of crowds, which only COCO's format can tell from single objects."""
    crowds = 0
    splits: dict[str, list[SourcePicture]] = {}
    for split, pictures in data.splits.items():
        splits[split] = []
        for picture in pictures:
            single = [entry for entry in picture.objects if not entry.crowd]
            crowds += len(picture.objects) - len(single)
            splits[split].append(picture._replace(objects=single))
    lost = (f"{crowds:,} regions of crowds are left out",) if crowds else ()
    return Plain(data._replace(splits=splits), lost)


def digits(value: float, decimals: int) -> str:
    """A number without zeros at its end."""
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def check_stems(split: str, pictures: Sequence[SourcePicture]) -> None:
    """Refuses two pictures that would share a label file.

    Raises:
        UserError: there are such.
    """
    seen: dict[PurePosixPath, str] = {}
    for picture in pictures:
        stem = PurePosixPath(picture.name).with_suffix("")
        other = seen.setdefault(stem, picture.name)
        if other != picture.name:
            raise UserError(
                f"{other} and {picture.name} of {split} would share a label file; rename one"
            )


def place(source: Path, target: Path) -> None:
    """A hard link where the file system allows, a copy elsewhere."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(source, target)
