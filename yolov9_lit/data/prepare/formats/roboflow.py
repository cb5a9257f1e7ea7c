"""Reading data sets as Roboflow exports them in COCO's format, those of RF100-VL among them.

RF100-VL (arXiv 2505.20612) is a hundred small data sets, each a folder with `train`, `valid` and
`test`, which hold images and an `_annotations.coco.json`. Its first category usually is the group
that the others name as their `supercategory`, and no object is of it: as a class it would be an
output that learns nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from yolov9_lit.data.coco.faults import Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.coco.image_entries import is_id
from yolov9_lit.data.prepare.formats.coco import CocoFolder
from yolov9_lit.errors import UserError
from yolov9_lit.files import visible_files

_FILE = "_annotations.coco.json"


class RoboflowFolder(CocoFolder):
    """The data set in `src/{train,valid,test}`; a `SourceFolder`.

    A category that others name as their group and that no annotation of any split has is left out.
    """

    def __init__(self, src: Path, faults: Faults) -> None:
        """Find the annotation files.

        Args:
            src: folder of the data set.
            faults: what is wrong with single items is added.

        Raises:
            UserError: there is no annotation file, or two of a split.
        """
        if not any(src.glob(f"*/{_FILE}")):
            raise UserError(
                f"{src} has no train/{_FILE}: give the folder of one data set that Roboflow "
                "exported in COCO's format."
            )
        super().__init__(src, faults)

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is."""
        for split in self._splits.values():
            yield split.annotations
            yield from visible_files(split.images)

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield the splits; see `SourceFolder`."""
        splits = [*super().read()]
        groups = _groups([content for _, content, _ in splits])
        if groups:
            self.faults.notes[Note.CATEGORY_GROUP] = len(groups)
        for name, content, folder in splits:
            self.faults.split = name
            kept = [entry for entry in content.categories if not _has_id(entry, groups)]
            yield name, content._replace(categories=kept), folder


def _groups(contents: Sequence[CocoContent]) -> set[int]:
    """Return the ids of the categories that others are of, and no annotation of any split."""
    named, used = set[int](), set[int]()
    for content in contents:
        for entry in content.categories:
            own, name = entry.get("id"), entry.get("name")
            others = (other for other in content.categories if other is not entry)
            if (
                is_id(own)
                and isinstance(name, str)
                and any(other.get("supercategory") == name for other in others)
            ):
                named.add(own)
        ids = (annotation.get("category_id") for annotation in content.annotations)
        used.update(filter(is_id, ids))
    return named - used


def _has_id(entry: Entry, ids: Container[int]) -> bool:
    return is_id(own := entry.get("id")) and own in ids
