"""Reading Pascal VOC data sets.

Corners are taken as they stand, in plain pixel coordinates, and written likewise: VOC's own tools
count pixels from 1 and both corners as part of the object, but most files in this form (BCCD's
too) hold plain coordinates, and nothing in a file tells which.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

from yolov9_lit.data.coco.annotation_entries import WHERE
from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.prepare.formats.source import (
    IDS_FILE,
    SPLITS,
    as_coco,
    image_ids,
    read_ids,
)
from yolov9_lit.data.prepare.formats.voc_folder import LISTS, Listed, VocYear
from yolov9_lit.errors import UserError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")

_OWN_LISTS = MappingProxyType({split: (f"{LISTS}/{split}.txt",) for split in SPLITS})


_Parsed = tuple[Path, ElementTree.Element]
"""An XML file and its content."""


class VocFolder:
    """The data set in `src/{Annotations,ImageSets/Main,JPEGImages}`; a `SourceFolder`.

    Each of the lists train.txt, val.txt and test.txt is a split; or a split joins lists of several
    such folders, as of VOC's years. Category ids are 1.. over the sorted names of all splits,
    unless `ids.json` says otherwise.
    """

    def __init__(
        self,
        src: Path,
        faults: Faults,
        lists: Mapping[str, Sequence[str]] = _OWN_LISTS,
        *,
        ignore_difficult: bool = False,
    ) -> None:
        """Read the lists.

        Args:
            src: folder of the data set.
            faults: what is wrong with single items is added.
            lists: the paths of each split's lists in `src`, `FOLDER/ImageSets/Main/NAME.txt`.
            ignore_difficult: take objects marked as difficult for crowds, which are not trained on
                and neither counted nor held against a detector, as VOC's own evaluation does.

        Raises:
            UserError: a folder is missing, or one of `lists`, or there is no list at all.
        """
        self.src, self.ignore_difficult = src.absolute(), ignore_difficult
        self.settings = f"{lists} {ignore_difficult}"
        self._lists = {
            split: [self.src / name for name in lists[split]] for split in SPLITS if split in lists
        }
        paths = [path for paths in self._lists.values() for path in paths]
        if absent := [path for path in paths if lists is not _OWN_LISTS and not path.is_file()]:
            raise UserError(f"{absent[0]} is missing: download that part of the data set.")
        roots = sorted({path.parents[2] for path in paths})
        years = {root: VocYear(root, src / root.relative_to(self.src)) for root in roots}
        alone = years[self.src] if roots == [self.src] else None
        self.images = alone.images if alone else self.src
        self._annotations = alone.annotations if alone else self.src
        self.faults = faults
        self._listed: dict[str, list[Listed]] = {}
        for split, paths in self._lists.items():
            self.faults.split = split
            if entries := [
                entry for path in paths for entry in years[path.parents[2]].read(path, faults)
            ]:
                self._listed[split] = entries
        if not self._listed:
            folders = " and ".join(str(year.lists) for year in years.values())
            raise UserError(f"{folders} has no train, val or test list: write one with names.")

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is."""
        yield self.src / IDS_FILE
        for paths in self._lists.values():
            yield from paths
        for entries in self._listed.values():
            for entry in entries:
                yield from filter(None, (entry.xml, entry.image))

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
                self._lists[split][0],
                [{"id": i, "name": name} for name, i in ids.items()],
                image_ids(named, known.images.get(split, {})),
                self.images,
                partial(self._objects, named, ids),
                self.faults,
                {name: size for name, (_, root) in named.items() if (size := _size(root))},
            )
            yield split, content, self.images

    def _short(self, xml: Path) -> str:
        return os.path.relpath(xml, self._annotations)

    def _parse(self, split: str) -> dict[str, _Parsed]:
        """Read the XML files of a split's images, by the image's name."""
        self.faults.split = split
        parsed: dict[str, _Parsed] = {}
        for xml, found, folder in self._listed[split]:
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
            image = found or folder.image(_text(root, "filename"))
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
            if self.ignore_difficult and "difficult" in flags:
                flags["iscrowd"] = 1
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
