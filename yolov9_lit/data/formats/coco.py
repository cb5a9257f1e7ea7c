"""Reading a COCO-format folder for conversion into the formats that hold less."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from yolov9_lit.data.formats.source import (
    SPLITS,
    SourceData,
    SourceObject,
    SourcePicture,
    clipped,
    complete,
)
from yolov9_lit.data.problems import Problems
from yolov9_lit.errors import UserError

_FILE = re.compile(rf"instances_(({'|'.join(SPLITS)})\d*)\.json")


class CocoFolder:
    """The data set in `src/annotations/instances_SPLIT.json` and `src/SPLIT/`; see `SourceFolder`.

    SPLIT is train, val or test, a year after it or not: train2017.
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
        self._files: dict[str, tuple[Path, Path]] = {}
        for file in sorted((src / "annotations").glob("instances_*.json")):
            if found := _FILE.fullmatch(file.name):
                if found[2] in self._files:
                    raise UserError(f"{src} has two annotation files of {found[2]}; move one away")
                self._files[found[2]] = (file, src / found[1])
        if not self._files:
            raise UserError(
                f"{src / 'annotations'} has no instances_train.json or the like; give the root of "
                "a COCO-format data set"
            )

    def files(self) -> Iterator[Path]:
        """The annotation files."""
        yield from (file for file, _ in self._files.values())

    def read(self) -> SourceData:
        """All of it; see `SourceFolder`."""
        categories: dict[int, str] = {}
        splits = {}
        for split in SPLITS:
            if split not in self._files:
                continue
            file, folder = self._files[split]
            try:
                content = json.loads(file.read_bytes())
                own = {int(c["id"]): str(c.get("name", c["id"])) for c in content["categories"]}
                pictures = self._pictures(content["images"], folder)
                objects = self._objects(content["annotations"], pictures, own)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{file} is no COCO annotation file ({error!r}); give one in that format"
                ) from error
            if categories not in ({}, own):
                raise UserError(f"{file} lists other categories than the first split; unite them")
            categories = dict(sorted(own.items()))
            splits[split] = [p._replace(objects=objects[p.id]) for p in pictures.values()]
        return complete(self.src, SourceData(categories, splits))

    def _pictures(self, entries: list[dict[str, Any]], folder: Path) -> dict[int, SourcePicture]:
        """By their ids, without objects."""
        pictures: dict[int, SourcePicture] = {}
        for entry in entries:
            name = PurePosixPath(entry["file_name"])
            height, width = int(entry["height"]), int(entry["width"])
            if entry["id"] in pictures:
                raise ValueError(f"the image id {entry['id']} is given twice")
            if name.is_absolute() or ".." in name.parts or not (folder / name).is_file():
                self.problems.add("pictures are missing and are left out", str(name))
                continue
            picture = SourcePicture(entry["id"], folder / name, str(name), height, width, ())
            pictures[entry["id"]] = picture
        return pictures

    def _objects(
        self,
        entries: list[dict[str, Any]],
        pictures: Mapping[int, SourcePicture],
        categories: Mapping[int, str],
    ) -> dict[int, list[SourceObject]]:
        """By the ids of their pictures."""
        objects: dict[int, list[SourceObject]] = {image_id: [] for image_id in pictures}
        for entry in entries:
            where = f"annotation {entry.get('id')}"
            picture = pictures.get(entry.get("image_id", -1))
            read = _object(entry)
            if picture is None or read is None or read.category_id not in categories:
                self.problems.add("annotations fit no picture, class or form: left out", where)
                continue
            found = clipped(read, picture.height, picture.width, where, self.problems)
            if found:
                objects[picture.id].append(found)
        return objects


def _object(entry: dict[str, Any]) -> SourceObject | None:
    """The object; None where it is malformed."""
    outlines = entry.get("segmentation")
    try:
        x, y, w, h = map(float, entry["bbox"])
        polygons = outlines if isinstance(outlines, list) else ()
        return SourceObject(
            int(entry["category_id"]),
            (x, y, x + w, y + h),
            polygons=tuple(tuple(map(float, polygon)) for polygon in polygons),
            mask=isinstance(outlines, dict),
            crowd=bool(entry.get("iscrowd")),
            difficult=bool(entry.get("difficult")),
            truncated=bool(entry.get("truncated")),
        )
    except (KeyError, TypeError, ValueError):
        return None
