"""Reading Pascal VOC data sets.

Corners are taken as they stand, in plain pixel coordinates, and written likewise: VOC's own tools
count pixels from 1 and both corners as part of the object, but most files in this form (BCCD's
too) hold plain coordinates, and nothing in a file tells which.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from yolov9_lit.data.coco.annotation_entries import WHERE
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.images import has_image_ending
from yolov9_lit.data.prepare.formats.source import (
    IDS_FILE,
    SPLITS,
    as_coco,
    image_ids,
    read_ids,
    read_text,
)
from yolov9_lit.errors import UserError
from yolov9_lit.files import visible_files

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


_Parsed = tuple[Path, ElementTree.Element]
"""An XML file and its content."""


class VocFolder:
    """The data set in `src/{Annotations,ImageSets/Main,JPEGImages}`; a `SourceFolder`.

    Each of the lists train.txt, val.txt and test.txt is a split. Category ids are 1.. over the
    sorted names of all splits, unless `ids.json` says otherwise.
    """

    def __init__(self, src: Path, faults: Faults) -> None:
        """Read the lists.

        Args:
            src: folder of the data set.
            faults: what is wrong with single items is added.

        Raises:
            UserError: a folder is missing, or there is no list.
        """
        self.src = src.absolute()
        self.lists, self.images = self.src / "ImageSets/Main", self.src / "JPEGImages"
        for folder in (self.src / "Annotations", self.lists, self.images):
            if not folder.is_dir():
                name = folder.relative_to(self.src)
                raise UserError(f"{src} lacks the folder {name}: give the root of a VOC data set.")
        self.faults = faults
        self._image_files = _by_name_and_stem(self.images)
        listed = {split: self._list(self.lists / f"{split}.txt") for split in SPLITS}
        self._listed = {split: entries for split, entries in listed.items() if entries}
        if not self._listed:
            raise UserError(f"{self.lists} has no train, val or test list: write one with names.")

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is."""
        yield self.src / IDS_FILE
        yield from (self.lists / f"{split}.txt" for split in SPLITS)
        for entries in self._listed.values():
            for entry in entries:
                yield from filter(None, entry)

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield the splits; see `SourceFolder`."""
        parsed = {split: self._parse(split) for split in self._listed}
        roots = [root for named in parsed.values() for _, root in named.values()]
        names = {_text(element, "name") for root in roots for element in root.iter("object")}
        known = read_ids(self.src)
        ids = {name: i for i, name in enumerate(sorted(names - {""}), start=1)}
        if set(ids) <= set(known.categories):
            ids = dict(known.categories)
        for split, named in parsed.items():
            self.faults.split = split
            content = as_coco(
                self.lists / f"{split}.txt",
                [{"id": i, "name": name} for name, i in ids.items()],
                image_ids(named, known.images.get(split, {})),
                self.images,
                partial(self._objects, named, ids),
                self.faults,
                {name: size for name, (_, root) in named.items() if (size := _size(root))},
            )
            yield split, content, self.images

    def _list(self, path: Path) -> list[tuple[Path, Path | None]]:
        """Return the entries of a list, each once; none where there is no such list."""
        self.faults.split = path.stem
        lines = read_text(path).splitlines() if path.is_file() else []
        entries: dict[tuple[Path, Path | None], None] = {}
        for line in filter(None, map(str.strip, lines)):
            entry = self._entry(line)
            if entry in entries:
                self.faults.add(Fault.LISTED_REPEATED, line)
            elif line.split()[1:] == ["-1"] and entry[0].stem == line.split()[0]:
                self.faults.notes[Note.LISTED_ABSENT] += 1
            entries[entry] = None
        return [*entries]

    def _entry(self, line: str) -> tuple[Path, Path | None]:
        """Return the XML file of a line, and its image if one has the same stem.

        The name may have an ending, and a flag may follow it, as in VOC's lists of a class.
        """
        names = [line, line.split()[0]]
        stems = [*names, *(_without_ending(name) for name in names)]
        folder = self.src / "Annotations"
        stem = next((s for s in stems if os.path.isfile(folder / f"{s}.xml")), stems[2])
        image = self._image_files.get(line) or self._image_files.get(str(PurePosixPath(stem)))
        return folder / f"{stem}.xml", image

    def _short(self, xml: Path) -> str:
        return os.path.relpath(xml, self.src / "Annotations")

    def _parse(self, split: str) -> dict[str, _Parsed]:
        """Read the XML files of a split's images, by the image's name."""
        self.faults.split = split
        parsed: dict[str, _Parsed] = {}
        for xml, found in self._listed[split]:
            try:
                root = ElementTree.parse(xml).getroot()
            except (OSError, ElementTree.ParseError, ValueError, LookupError):
                self.faults.add(Fault.XML_UNREADABLE, self._short(xml))
                continue
            for element in root.iter():  # Namespaces and capitals do not matter.
                element.tag = str(element.tag).rpartition("}")[2].lower()
            if root.tag != "annotation" and root.find(".//object") is None:
                self.faults.add(Fault.XML_OTHER, self._short(xml))
                continue
            image = found or self._image_files.get(_text(root, "filename"))
            if image is None:
                self.faults.add(Fault.XML_WITHOUT_IMAGE, self._short(xml))
                continue
            name = image.relative_to(self.images).as_posix()
            if parsed.setdefault(name, (xml, root))[0] != xml:
                self.faults.add(Fault.XML_IMAGE_TAKEN, self._short(xml))
        return parsed

    def _objects(
        self,
        parsed: Mapping[str, _Parsed],
        ids: Mapping[str, int],
        image: str,
        size: tuple[int, int],
    ) -> Iterator[Entry]:
        xml, root = parsed[image]
        for element in root.iter("object"):
            name, boxes = _text(element, "name"), element.findall("bndbox")
            try:
                if not name or len(boxes) != 1:
                    raise ValueError
                box = boxes[0]
                x1, y1, x2, y2 = (float(_text(box, corner)) for corner in _CORNERS)
            except ValueError:
                self.faults.add(Fault.XML_OBJECT, self._short(xml))
                continue
            flags = {f: 1 for f in ("difficult", "truncated") if _text(element, f) == "1"}
            box_entry = {"category_id": ids[name], "bbox": [x1, y1, x2 - x1, y2 - y1]}
            yield box_entry | flags | {WHERE: self._short(xml)}


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return the height and width that an XML file states; None for none, as 0 x 0 is."""
    texts = (_text(root, f"size/{side}") for side in ("height", "width"))
    try:
        height, width = (int(float(text)) for text in texts)
    except (ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def _by_name_and_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by their paths in it, with their ending and without."""
    images = [path for path in visible_files(folder) if has_image_ending(path)]
    named = {path.relative_to(folder).as_posix(): path for path in images}
    return {_without_ending(name): path for name, path in reversed(named.items())} | named


def _without_ending(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if has_image_ending(path) or path.suffix == ".xml" else name
