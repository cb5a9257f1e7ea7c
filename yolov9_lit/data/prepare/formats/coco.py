"""Reading a COCO-format folder for conversion into the formats that hold less."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from yolov9_lit.data.coco.checks import Box, stated_size
from yolov9_lit.data.coco.file import Entry, load_coco
from yolov9_lit.data.coco.layout import Split, find_splits
from yolov9_lit.data.coco.problems import Problems
from yolov9_lit.data.coco.usable import usable_content
from yolov9_lit.data.polygons import BROKEN, sound_outlines
from yolov9_lit.data.prepare.formats.source import (
    SPLITS,
    SourceData,
    SourceImage,
    SourceObject,
    complete,
)
from yolov9_lit.errors import UserError

_NAME = re.compile(rf"({'|'.join(SPLITS)})\d*")


class CocoFolder:
    """The splits of a folder in COCO's layout, see `find_splits`; see `SourceFolder`.

    They are named train, val or test, a year after it or not: train2017. What training leaves out
    is left out here.
    """

    def __init__(self, src: Path, problems: Problems) -> None:
        """Find the annotation files.

        Args:
            src: folder of the data set.
            problems: given what is wrong with single items.

        Raises:
            UserError: there is no annotation file, or two of a split.
        """
        self.src = src
        self.problems = problems
        self._splits: dict[str, Split] = {}
        for split in find_splits(src):
            if found := _NAME.fullmatch(split.name):
                if found[1] in self._splits:
                    raise UserError(f"{src} has two annotation files of {found[1]}; move one away")
                self._splits[found[1]] = split
        if not self._splits:
            raise UserError(
                f"{src / 'annotations'} has no instances_train.json or the like; give the root of "
                "a COCO-format data set"
            )

    def files(self) -> Iterator[Path]:
        """The annotation files."""
        yield from (split.annotations for split in self._splits.values())

    def read(self) -> SourceData:
        """All of it; see `SourceFolder`."""
        categories: dict[int, str] = {}
        splits = {}
        for name in filter(self._splits.__contains__, SPLITS):
            self.problems.split = name
            _, file, folder = self._splits[name]
            usable = usable_content(load_coco(file), file, folder, self.problems)
            if categories not in ({}, usable.names):
                raise UserError(f"{file} lists other categories than the first split; unite them")
            categories = usable.names
            objects: dict[int, list[SourceObject]] = defaultdict(list)
            for entry, box in zip(usable.entries, usable.boxes, strict=True):
                objects[entry["image_id"]].append(self._object(entry, box))
            splits[name] = list(self._images(usable.images, folder, objects))
        return complete(self.src, SourceData(categories, splits))

    def _images(
        self,
        entries: Mapping[int, Entry],
        folder: Path,
        objects: Mapping[int, list[SourceObject]],
    ) -> Iterator[SourceImage]:
        for image_id, entry in entries.items():
            name, size = PurePosixPath(entry["file_name"]), stated_size(entry)
            assert size is not None, "usable images have one"
            if name.is_absolute() or ".." in name.parts:
                self.problems.add("images lie outside their folder and are left out", str(name))
                continue
            path = folder / name
            yield SourceImage(image_id, path, str(name), *size, objects.get(image_id, ()))

    def _object(self, entry: Entry, box: Box) -> SourceObject:
        given, crowd = entry.get("segmentation"), bool(entry.get("iscrowd"))
        outlines, faulty = sound_outlines(None if crowd else given)
        if faulty:
            self.problems.add(BROKEN, f"annotation {entry.get('id')}")
        return SourceObject(
            entry["category_id"],
            box,
            polygons=tuple(tuple(map(float, outline)) for outline in outlines),
            mask=isinstance(given, dict),
            crowd=crowd,
            difficult=bool(entry.get("difficult")),
            truncated=bool(entry.get("truncated")),
        )
