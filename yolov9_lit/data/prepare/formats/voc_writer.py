"""Writing a data set in Pascal VOC's layout; for its coordinates see `voc`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import SubElement

from yolov9_lit.data.prepare.formats.placing import digits, place, plain, stem
from yolov9_lit.data.prepare.formats.source import (
    IDS_FILE,
    SourceData,
    SourceImage,
    SourceObject,
    noted_ids,
)
from yolov9_lit.files import write_json

_DECIMALS = 3


def write_voc(out: Path, data: SourceData) -> tuple[str, ...]:
    """Writes `Annotations`, `ImageSets/Main`, `JPEGImages` and, for the way back, ids.json.

    Images of all splits share a folder; where two splits have one of the same name, each split
    gets a folder of its own in it.

    Returns:
        What the format cannot hold, in sentences.
    """
    data, lost = plain(data)
    names = _names(data)
    for split, images in data.splits.items():
        for image, name in zip(images, names[split], strict=True):
            place(image.path, out / "JPEGImages" / name)
            _write_xml(out / "Annotations" / f"{stem(name)}.xml", name, image, data.categories)
        listed = out / "ImageSets/Main" / f"{split}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(f"{stem(name)}\n" for name in names[split]), encoding="utf-8")
    write_json(out / IDS_FILE, noted_ids(data, names))
    return (*lost, *_lost(data))


def _names(data: SourceData) -> dict[str, list[str]]:
    """Each image's path in JPEGImages."""
    stems = Counter(stem(p.name) for images in data.splits.values() for p in images)
    shared = any(count > 1 for count in stems.values())
    return {
        split: [f"{split}/{p.name}" if shared else p.name for p in images]
        for split, images in data.splits.items()
    }


def _write_xml(path: Path, name: str, image: SourceImage, categories: Mapping[int, str]) -> None:
    root = ElementTree.Element("annotation")
    _add(root, folder="JPEGImages", filename=name)
    _add(SubElement(root, "size"), width=image.width, height=image.height, depth=3)
    _add(root, segmented=0)
    for entry in image.objects:
        _add_object(root, entry, categories[entry.category_id])
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def _add_object(root: ElementTree.Element, entry: SourceObject, name: str) -> None:
    element = SubElement(root, "object")
    flags = {"truncated": int(entry.truncated), "difficult": int(entry.difficult)}
    _add(element, name=name, pose="Unspecified", **flags)
    keys = ("xmin", "ymin", "xmax", "ymax")
    corners = (digits(value, _DECIMALS) for value in entry.corners)
    _add(SubElement(element, "bndbox"), **dict(zip(keys, corners, strict=True)))


def _add(parent: ElementTree.Element, **texts: str | int) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)


def _lost(data: SourceData) -> Iterable[str]:
    every = (entry for images in data.splits.values() for p in images for entry in p.objects)
    if outlines := sum(bool(entry.polygons) or entry.mask for entry in every):
        yield f"{outlines:,} objects are boxes without their outlines"
