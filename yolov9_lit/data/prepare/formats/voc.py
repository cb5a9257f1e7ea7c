"""Reading Pascal VOC data sets.

Corners are taken as they stand, in plain pixel coordinates, and written likewise: VOC's own tools
count pixels from 1 and both corners as part of the object, but most files in this form (BCCD's
too) hold plain coordinates, and nothing in a file tells which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from yolov9_lit.data.coco.problems import Problems
from yolov9_lit.data.images import IMAGE_ENDINGS, image_size
from yolov9_lit.data.prepare.formats.source import (
    SPLITS,
    SourceData,
    SourceImage,
    SourceObject,
    clipped,
    complete,
    image_ids,
    read_ids,
)
from yolov9_lit.errors import UserError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _Entry(NamedTuple):
    """A name of a list with its files; no path where the image is missing."""

    xml: Path
    path: Path | None


class VocFolder:
    """The data set in `src/{Annotations,ImageSets/Main,JPEGImages}`; see `SourceFolder`.

    Each of the lists train.txt, val.txt and test.txt is a split. Category ids are 1.. over the
    sorted names of all splits, unless `ids.json` says otherwise.
    """

    def __init__(self, src: Path, problems: Problems) -> None:
        """Read the lists.

        Args:
            src: folder of the data set.
            problems: given what is wrong with single items.

        Raises:
            UserError: a folder is missing, or there is no list.
        """
        for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
            if not (src / folder).is_dir():
                raise UserError(f"{src} lacks the folder {folder}; give the root of a VOC data set")
        self.src = src.absolute()
        self.problems = problems
        self._entries = {split: self._list(split) for split in SPLITS}
        self._entries = {split: entries for split, entries in self._entries.items() if entries}
        if not self._entries:
            raise UserError(f"{src / 'ImageSets/Main'} has no train, val or test list with names")

    def files(self) -> Iterator[Path]:
        """The files that make it what it is."""
        yield self.src / "ids.json"
        yield from (self.src / "ImageSets/Main" / f"{split}.txt" for split in SPLITS)
        for entries in self._entries.values():
            for entry in entries:
                yield entry.xml
                if entry.path:
                    yield entry.path

    def read(self) -> SourceData:
        """All of it; see `SourceFolder`."""
        parsed = {split: self._parse(split) for split in self._entries}
        roots = [root for named in parsed.values() for _, _, root in named.values()]
        texts = {_text(entry, "name") for root in roots for entry in root.findall("object")}
        names = sorted(texts - {""})
        known = read_ids(self.src)
        ids = {name: i for i, name in enumerate(names, start=1)}
        if set(names) <= set(known.categories):
            ids = dict(known.categories)
        splits = {}
        for split, named in parsed.items():
            self.problems.split = split
            numbers = image_ids(named, known.images.get(split, {}))
            found = (self._image(i, name, *named[name], ids) for name, i in numbers.items())
            splits[split] = [image for image in found if image]
        return complete(self.src, SourceData({i: name for name, i in ids.items()}, splits))

    def _list(self, split: str) -> list[_Entry]:
        """The entries of a list; none where there is no such list."""
        path = self.src / "ImageSets/Main" / f"{split}.txt"
        if not path.is_file():
            return []
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeError) as error:
            raise UserError(f"{path} cannot be read ({error}); check the data set") from error
        names = dict.fromkeys(line.strip() for line in lines if line.strip())
        return [self._entry(name) for name in names]

    def _entry(self, name: str) -> _Entry:
        stem = self.src / "JPEGImages" / name
        candidates = (stem.with_name(stem.name + suffix) for suffix in IMAGE_ENDINGS)
        image = next((path for path in candidates if path.is_file()), None)
        return _Entry(self.src / "Annotations" / f"{name}.xml", image)

    def _parse(self, split: str) -> dict[str, tuple[Path, Path, ElementTree.Element]]:
        """Image, XML file and its content by the image's name."""
        self.problems.split = split
        folder = self.src / "JPEGImages"
        parsed = {}
        for xml, found in self._entries[split]:
            try:
                root = ElementTree.parse(xml).getroot()
            except (OSError, ElementTree.ParseError):
                self.problems.add("annotations cannot be read; their images are left out", xml.name)
                continue
            path = found or folder / (_text(root, "filename") or xml.stem)
            if not path.is_file() or not path.is_relative_to(folder):
                self.problems.add("annotations have no image and are passed over", xml.name)
                continue
            parsed[path.relative_to(folder).as_posix()] = (path, xml, root)
        return parsed

    def _image(
        self,
        image_id: int,
        name: str,
        path: Path,
        xml: Path,
        root: ElementTree.Element,
        ids: Mapping[str, int],
    ) -> SourceImage | None:
        size = image_size(path)
        if size is None:
            self.problems.add("images cannot be read and are left out", name)
            return None
        objects = []
        for element in root.findall("object"):
            entry = _object(element, ids)
            if entry is None:
                self.problems.add("objects lack a name or four numbers: left out", xml.name)
            elif entry := clipped(entry, *size, xml.name, self.problems):
                objects.append(entry)
        return SourceImage(image_id, path, name, *size, objects)


def _object(element: ElementTree.Element, ids: Mapping[str, int]) -> SourceObject | None:
    """The object; None where it is not whole."""
    name, box = _text(element, "name"), element.find("bndbox")
    try:
        corners = [float(_text(box, key)) for key in _CORNERS] if box is not None else []
    except ValueError:
        corners = []
    if not name or not corners:
        return None
    x1, y1, x2, y2 = corners
    return SourceObject(
        ids[name],
        (x1, y1, x2, y2),
        difficult=_text(element, "difficult") == "1",
        truncated=_text(element, "truncated") == "1",
    )


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()
