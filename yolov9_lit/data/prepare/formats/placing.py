"""What the writers of VOC and YOLO data share: what these formats hold, image files, numbers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.judge import Judged, SoundImage
from yolov9_lit.errors import first_few, one_line, told
from yolov9_lit.structures import KeypointLayout


class Plain(NamedTuple):
    """A data set without what only COCO's format holds.

    Attributes:
        names: of the categories by id, in the order of the ids.
        layouts: what the keypoints of those are that have some, by id; all the same.
        splits: the images of each split.
        lost: sentences on what was left out or renamed.
    """

    names: Mapping[int, str]
    layouts: Mapping[int, KeypointLayout]
    splits: Mapping[str, list[SoundImage]]
    lost: tuple[str, ...]

    def ids(self, names: Mapping[str, Iterable[str]]) -> dict[str, Any]:
        """Return the content of `ids.json`, given the names of each split's images there."""
        images = {
            split: {
                name: image.entry["id"] for name, image in zip(names[split], images, strict=True)
            }
            for split, images in self.splits.items()
        }
        return {"categories": {name: i for i, name in self.names.items()}, "images": images}


def plain(splits: Mapping[str, Judged]) -> Plain:
    """Leave out regions of crowds, and give each image of a split a stem of its own."""
    crowds, renamed = 0, []
    images: dict[str, list[SoundImage]] = {}
    for split, judged in splits.items():
        images[split], given = [], judged.by_image()
        for image, name in zip(given, with_own_stems([i.name for i in given]), strict=True):
            single = [item for item in image.objects if not item.crowd]
            crowds += len(image.objects) - len(single)
            if name != image.name:
                renamed.append(f"{image.name} is {name}")
            images[split].append(image._replace(name=name, objects=single))
    lost = [told(crowds, "regions of crowds are left out")] if crowds else []
    if renamed:
        names = told(len(renamed), "names differ from another in their ending only, or fit no line")
        lost.append(f"{names}: {first_few(renamed, 1)}")
    first = next(iter(splits.values()))
    return Plain(first.names, first.layouts, images, tuple(lost))


def has_keypoints(item: SoundObject) -> bool:
    """Tell whether a keypoint of an object is annotated."""
    return bool((item.keypoints[:, 2] > 0).any())


def digits(value: float, decimals: int) -> str:
    """Write a number without zeros at its end."""
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def stem(name: str) -> str:
    """Return an image's name without its ending, which label files and lists leave out."""
    return PurePosixPath(name).with_suffix("").as_posix()


def place(source: Path, target: Path) -> None:
    """Make a hard link where the file system allows, a copy elsewhere."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(source, target)


def with_own_stems(names: list[str]) -> Iterator[str]:
    """Rename images of a split that one before them equals but for the ending, or altogether.

    Of cut.jpg and cut.png the second becomes cut_png.png. Names that no list could hold, with
    spaces at their ends or line breaks, get others.
    """
    stems = [one_line(stem(name)).strip() for name in names]
    taken, given = set(stems), set[str]()
    for name, own in zip(names, stems, strict=True):
        ending = PurePosixPath(name).suffix
        if own in given:
            own = f"{own}_{ending[1:]}"
            while own in taken:
                own += "_"
            taken.add(own)
        given.add(own)
        yield own + ending
