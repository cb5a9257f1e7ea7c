"""Reading Pascal VOC data sets.

Corners are taken as they stand, in plain pixel coordinates, and written likewise: VOC's own tools
count pixels from 1 and both corners as part of the object, but most files in this form (BCCD's
too) hold plain coordinates, and nothing in a file tells which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from yolov9_lit.data.coco.annotation_entries import WHERE
from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.images import IMAGE_ENDINGS
from yolov9_lit.data.prepare.formats.source import (
    IDS_FILE,
    SPLITS,
    as_coco,
    image_ids,
    read_ids,
    read_text,
)
from yolov9_lit.errors import UserError

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
        names = {_text(element, "name") for root in roots for element in root.findall("object")}
        known = read_ids(self.src)
        ids = {name: i for i, name in enumerate(sorted(names - {""}), start=1)}
        if set(ids) <= set(known.categories):
            ids = dict(known.categories)
        for split, named in parsed.items():
            self.faults.split = split
            content = as_coco(
                self.lists / f"{split}.txt",
                {i: name for name, i in ids.items()},
                image_ids(named, known.images.get(split, {})),
                self.images,
                partial(self._objects, named, ids),
                self.faults,
            )
            yield split, content, self.images

    def _list(self, path: Path) -> list[tuple[Path, Path | None]]:
        """Return the entries of a list; none where there is no such list."""
        lines = read_text(path).splitlines() if path.is_file() else []
        return [self._entry(name) for name in dict.fromkeys(map(str.strip, lines)) if name]

    def _entry(self, name: str) -> tuple[Path, Path | None]:
        """Return the XML file of a name, and its image if there is one."""
        stem = self.images / name
        candidates = (stem.with_name(stem.name + suffix) for suffix in IMAGE_ENDINGS)
        image = next((path for path in candidates if path.is_file()), None)
        return (self.src / "Annotations" / f"{name}.xml", image)

    def _parse(self, split: str) -> dict[str, _Parsed]:
        """Read the XML files of a split's images, by the image's name."""
        self.faults.split = split
        parsed = {}
        for xml, found in self._listed[split]:
            try:
                root = ElementTree.parse(xml).getroot()
            except (OSError, ElementTree.ParseError):
                self.faults.add(Fault.XML_UNREADABLE, xml.name)
                continue
            path = found or self.images / (_text(root, "filename") or xml.stem)
            if path.is_file() and path.is_relative_to(self.images):
                parsed[path.relative_to(self.images).as_posix()] = (xml, root)
            else:
                self.faults.add(Fault.XML_WITHOUT_IMAGE, xml.name)
        return parsed

    def _objects(
        self,
        parsed: Mapping[str, _Parsed],
        ids: Mapping[str, int],
        image: str,
        size: tuple[int, int],
    ) -> Iterator[Entry]:
        xml, root = parsed[image]
        for element in root.findall("object"):
            name, box = _text(element, "name"), element.find("bndbox")
            try:
                if not name or box is None:
                    raise ValueError
                x1, y1, x2, y2 = (float(_text(box, corner)) for corner in _CORNERS)
            except ValueError:
                self.faults.add(Fault.XML_OBJECT, xml.name)
                continue
            flags = {f: 1 for f in ("difficult", "truncated") if _text(element, f) == "1"}
            box_entry = {"category_id": ids[name], "bbox": [x1, y1, x2 - x1, y2 - y1]}
            yield box_entry | flags | {WHERE: xml.name}


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()
