"""Reading VisDrone2019-DET, images taken from drones (arXiv 2001.06303).

A split is a folder of `images` and of `annotations`, a text file for each image with lines
`left,top,width,height,score,category,truncation,occlusion`, in pixels. Category 0 is a region to be
ignored, 1 to 10 are the classes, 11 is "others"; score 0 marks what the benchmark does not measure.
Truncation and occlusion are passed over.

What is not to be measured becomes a crowd (`iscrowd`): no loss has it as a target, and what is
found there is neither right nor wrong. A crowd belongs to one category, so a region and "others"
are a crowd of each of the ten: whatever is found there, the benchmark passes it over. A box of a
class with score 0 is a crowd of this class alone, as in the benchmark's toolkit.

That toolkit (github.com/VisDrone/VisDrone2018-DET-toolkit) differs in this: of detections and
objects it leaves out those that lie in regions by half, whatever IoU is asked for. Here a detection
has to lie in one region by as much as the IoU asked for, as with COCO's crowds, and an annotated
object counts wherever it lies. In training a region is background, as every crowd is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from yolov9_lit.data.coco.annotation_entries import WHERE
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.images import has_image_ending
from yolov9_lit.data.prepare.formats.source import IDS_FILE, SPLITS, as_coco, image_ids, read_ids
from yolov9_lit.data.prepare.formats.yolo_labels import read_lines
from yolov9_lit.errors import UserError
from yolov9_lit.files import visible_files

_PARTS = {"train": "train", "val": "val", "test": "test-dev"}
_FOLDERS = {split: f"VisDrone2019-DET-{part}" for split, part in _PARTS.items()}
_NAMES = "pedestrian people bicycle car van truck tricycle awning-tricycle bus motor"
_CLASSES = dict(enumerate(_NAMES.split(), start=1))
_NO_CLASS = (0, 11)  # Regions to be ignored, and others.
_COLUMNS = 8


class VisDroneFolder:
    """The data set in `src/VisDrone2019-DET-{train,val,test-dev}`; a `SourceFolder`.

    An image without an annotation file has no objects. Category ids are VisDrone's, 1 to 10.
    """

    settings: str = ""

    def __init__(self, src: Path, faults: Faults) -> None:
        """List the images.

        Args:
            src: folder of the data set.
            faults: what is wrong with single items is added.

        Raises:
            UserError: none of its folders is there, or one lacks its images or annotations.
        """
        self.src, self.faults = src, faults
        roots = {split: src / _FOLDERS[split] for split in SPLITS}
        self._roots = {split: root for split, root in roots.items() if root.is_dir()}
        if not self._roots:
            raise UserError(
                f"{src} has no folder {', '.join(_FOLDERS.values())}: give the folder that "
                "VisDrone's archives were unpacked in."
            )
        self._images = {split: self._list(split) for split in self._roots}

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is."""
        yield self.src / IDS_FILE
        for split, root in self._roots.items():
            for name in self._images[split]:
                yield from (root / "images" / name, _labels(root, name))

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield the splits; see `SourceFolder`."""
        known = read_ids(self.src)
        categories = [{"id": i, "name": name} for i, name in _CLASSES.items()]
        for split, root in self._roots.items():
            self.faults.split = split
            numbers = image_ids(self._images[split], known.images.get(split, {}))
            images, objects = root / "images", partial(self._objects, root)
            yield split, as_coco(root, categories, numbers, images, objects, self.faults), images

    def _list(self, split: str) -> list[str]:
        """Return the names of a split's images: their paths from its folder of images."""
        self.faults.split = split
        root = self._roots[split]
        for folder in (root / "images", root / "annotations"):
            if not folder.is_dir():
                raise UserError(f"{root} lacks the folder {folder.name}: unpack its archive anew.")
        names = []
        for path in visible_files(root / "images"):
            if has_image_ending(path):
                names.append(path.relative_to(root / "images").as_posix())
            else:
                self.faults.add(Fault.FILE_ENDING, self._short(path))
        labels = {_labels(root, name) for name in names}
        there = {path for path in visible_files(root / "annotations") if path.suffix == ".txt"}
        for path in sorted(there - labels):
            self.faults.add(Fault.LABELS_WITHOUT_IMAGE, self._short(path))
        if unlabelled := len(labels - there):
            self.faults.notes[Note.UNLABELLED] += unlabelled
        return names

    def _objects(self, root: Path, name: str, size: tuple[int, int]) -> Iterator[Entry]:
        labels = _labels(root, name)
        try:
            lines = read_lines(labels)
        except (OSError, UnicodeError):
            self.faults.add(Fault.LABELS_UNREADABLE, self._short(labels))
            return
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{self._short(labels)}:{number}"
            entries = parse_line(line)
            if isinstance(entries, Fault):
                self.faults.add(entries, where)
                continue
            if entries[0]["iscrowd"]:
                self.faults.notes[Note.NO_CLASS] += 1
            yield from (entry | {WHERE: where} for entry in entries)

    def _short(self, path: Path) -> str:
        return os.path.relpath(path, self.src)


def parse_line(line: str) -> list[Entry] | Fault:
    """Return the annotations of a line, or what is wrong with it.

    Args:
        line: left, top, width, height, score, category, truncation and occlusion; a comma may stand
            behind them.

    Returns:
        One annotation of a class; of what has no class a crowd of each.
    """
    try:
        numbers = [float(text) for text in line.strip().removesuffix(",").split(",")]
    except ValueError:
        return Fault.LINE_COLUMNS
    if len(numbers) != _COLUMNS:
        return Fault.LINE_COLUMNS
    if not all(map(math.isfinite, numbers)):
        return Fault.LINE_INFINITE
    *box, score, category = numbers[:6]
    if category in _NO_CLASS:
        return [{"category_id": i, "bbox": box, "iscrowd": 1} for i in _CLASSES]
    if category not in _CLASSES:
        return Fault.LINE_CATEGORY
    return [{"category_id": int(category), "bbox": box, "iscrowd": int(score == 0)}]


def _labels(root: Path, name: str) -> Path:
    return (root / "annotations" / name).with_suffix(".txt")
