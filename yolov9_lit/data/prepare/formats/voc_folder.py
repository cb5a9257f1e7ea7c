"""One folder of a Pascal VOC data set: its lists, and which files a line of them names."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.images import has_image_ending
from yolov9_lit.data.prepare.formats.source import read_text
from yolov9_lit.errors import UserError
from yolov9_lit.files import visible_files

LISTS = "ImageSets/Main"


class Listed(NamedTuple):
    """A line of a list.

    Attributes:
        xml: its annotations.
        image: the image of the same name; None if only the annotations can tell it.
        folder: that it belongs to.
    """

    xml: Path
    image: Path | None
    folder: VocYear


class VocYear:
    """A folder with Annotations, ImageSets/Main and JPEGImages, as VOC has one of each year."""

    def __init__(self, path: Path, shown: Path) -> None:
        """List its images.

        Args:
            path: of the folder, absolute.
            shown: the folder as messages name it.

        Raises:
            UserError: a folder in it is missing.
        """
        self.annotations, self.lists = path / "Annotations", path / LISTS
        self.images = path / "JPEGImages"
        for folder in (self.annotations, self.lists, self.images):
            if not folder.is_dir():
                name = folder.relative_to(path)
                raise UserError(
                    f"{shown} lacks the folder {name}: give the root of a VOC data set."
                )
        self._image_files = _by_name_and_stem(self.images)

    def image(self, name: str) -> Path | None:
        """Return the image of this path in JPEGImages, with its ending or without."""
        return self._image_files.get(name)

    def read(self, path: Path, faults: Faults) -> list[Listed]:
        """Return the entries of a list, each once; none where there is no such list."""
        lines = read_text(path).splitlines() if path.is_file() else []
        entries: dict[tuple[Path, Path | None], Listed] = {}
        for line in filter(None, map(str.strip, lines)):
            entry = self._entry(line)
            if entry[:2] in entries:
                faults.add(Fault.LISTED_REPEATED, line)
            elif line.split()[1:] == ["-1"] and entry.xml.stem == line.split()[0]:
                faults.notes[Note.LISTED_ABSENT] += 1
            entries[entry[:2]] = entry
        return [*entries.values()]

    def _entry(self, line: str) -> Listed:
        """Return the XML file of a line, and its image if one has the same stem.

        The name may have an ending, and a flag may follow it, as in VOC's lists of a class.
        """
        names = [line, line.split()[0]]
        stems = [*names, *(_without_ending(name) for name in names)]
        folder = self.annotations
        stem = next((s for s in stems if os.path.isfile(folder / f"{s}.xml")), stems[2])
        image = self.image(line) or self.image(str(PurePosixPath(stem)))
        return Listed(folder / f"{stem}.xml", image, self)


def _by_name_and_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by their paths in it, with their ending and without."""
    images = [path for path in visible_files(folder) if has_image_ending(path)]
    named = {path.relative_to(folder).as_posix(): path for path in images}
    return {_without_ending(name): path for name, path in reversed(named.items())} | named


def _without_ending(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if has_image_ending(path) or path.suffix == ".xml" else name
