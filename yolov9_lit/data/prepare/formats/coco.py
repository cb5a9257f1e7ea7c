"""COCO-format folders: read for conversion into the formats that hold less, and written."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.file import CocoContent, load_coco
from yolov9_lit.data.coco.image_entries import is_id, stated_size
from yolov9_lit.data.coco.judge import Judged
from yolov9_lit.data.coco.layout import Split, find_splits
from yolov9_lit.data.coco.writer import annotation_path, coco_content
from yolov9_lit.data.images import image_size
from yolov9_lit.data.prepare.formats.placing import place
from yolov9_lit.data.prepare.formats.source import SPLITS
from yolov9_lit.errors import UserError
from yolov9_lit.files import write_json

log = logging.getLogger(__name__)

_NAME = re.compile(rf"({'|'.join(SPLITS)})\d*")


class CocoFolder:
    """The splits of a folder in COCO's layout, see `find_splits`; a `SourceFolder`.

    They are named train, val or test, a year after it or not: train2017.
    """

    settings: str = ""

    def __init__(self, src: Path, faults: Faults) -> None:
        """Find the annotation files.

        Args:
            src: folder of the data set.
            faults: what is wrong with single items is added.

        Raises:
            UserError: there is no annotation file, or two of a split.
        """
        self.faults = faults
        self._splits: dict[str, Split] = {}
        for split in find_splits(src):
            if found := _NAME.fullmatch(split.name):
                if found[1] in self._splits:
                    raise UserError(f"{src} has two annotation files of {found[1]}: move one away.")
                self._splits[found[1]] = split
            else:
                log.warning("%s is passed over: it is not of train, val or test", split.annotations)
        if not self._splits:
            raise UserError(
                f"{src / 'annotations'} has no instances_train.json or the like: give the root of "
                "a COCO-format data set."
            )

    def files(self) -> Iterator[Path]:
        """Yield the annotation files."""
        yield from (split.annotations for split in self._splits.values())

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield the splits; see `SourceFolder`."""
        for name in filter(self._splits.__contains__, SPLITS):
            self.faults.split = name
            content = load_coco(self._splits[name].annotations)._replace(faults=self.faults)
            folder = self._splits[name].images
            yield name, self._holdable(content, folder), folder

    def _holdable(self, content: CocoContent, folder: Path) -> CocoContent:
        """Leave out images that a copy would not hold or boxes do not fit, and their annotations.

        Boxes do not fit an image of another size than the file states.
        """
        kept, left_out = [], set()
        for entry in content.images:
            name, said = entry.get("file_name"), stated_size(entry)
            size = image_size(folder / name) if isinstance(name, str) and said else None
            if _is_outside(name):
                self.faults.add(Fault.IMAGE_OUTSIDE, str(name))
            elif said and size and size != said:
                self.faults.add_size(str(name), size, said)
            else:
                kept.append(entry)
                continue
            left_out.add(entry.get("id") if is_id(entry.get("id")) else None)
        annotations = [
            a for a in content.annotations if not (is_id(i := a.get("image_id")) and i in left_out)
        ]
        return content._replace(images=kept, annotations=annotations)


def _is_outside(name: object) -> bool:
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    return path.is_absolute() or ".." in path.parts


def write_coco(out: Path, splits: Mapping[str, Judged]) -> tuple[str, ...]:
    """Write `out/annotations/instances_{split}.json` and `out/{split}/` for each split.

    Returns:
        What the format cannot hold: nothing.
    """
    for split, judged in splits.items():
        for image in judged.by_image():
            place(image.path, out / split / image.name)
        write_json(annotation_path(out, split), coco_content(judged))
    return ()
