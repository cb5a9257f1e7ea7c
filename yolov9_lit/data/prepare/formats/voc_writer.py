"""Writing a data set in Pascal VOC's layout; for its coordinates see `voc`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import SubElement

from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.judge import Judged, SoundImage
from yolov9_lit.data.prepare.formats.placing import (
    Plain,
    digits,
    has_keypoints,
    place,
    plain,
    stem,
)
from yolov9_lit.data.prepare.formats.source import IDS_FILE
from yolov9_lit.errors import told
from yolov9_lit.files import write_json

_DECIMALS = 3


def write_voc(out: Path, splits: Mapping[str, Judged]) -> tuple[str, ...]:
    """Write `Annotations`, `ImageSets/Main`, `JPEGImages` and, for the way back, ids.json.

    Images of all splits share a folder; if two splits have one of the same name, each split gets
    a folder of its own in it.

    Returns:
        What the format cannot hold, in sentences.
    """
    data = plain(splits)
    names = _names(data)
    outlines = keypoints = 0
    for split, images in data.splits.items():
        for image, name in zip(images, names[split], strict=True):
            place(image.path, out / "JPEGImages" / name)
            _write_xml(out / "Annotations" / f"{stem(name)}.xml", name, image, data.names)
            outlines += sum(bool(item.outlines) for item in image.objects)
            keypoints += sum(map(has_keypoints, image.objects))
        listed = out / "ImageSets/Main" / f"{split}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(f"{stem(name)}\n" for name in names[split]), encoding="utf-8")
    write_json(out / IDS_FILE, data.ids(names))
    lost = {"outlines": outlines, "keypoints": keypoints}
    sentences = (told(n, f"objects are left without their {part}") for part, n in lost.items() if n)
    return (*data.lost, *sentences)


def _names(data: Plain) -> dict[str, list[str]]:
    """Return each image's path in JPEGImages."""
    stems = Counter(stem(image.name) for images in data.splits.values() for image in images)
    shared = any(count > 1 for count in stems.values())
    return {
        split: [f"{split}/{image.name}" if shared else image.name for image in images]
        for split, images in data.splits.items()
    }


def _write_xml(path: Path, name: str, image: SoundImage, categories: Mapping[int, str]) -> None:
    root = ElementTree.Element("annotation")
    _add(root, folder="JPEGImages", filename=name)
    _add(
        SubElement(root, "size"),
        width=int(image.entry["width"]),
        height=int(image.entry["height"]),
        depth=3,
    )
    _add(root, segmented=0)
    for item in image.objects:
        _add_object(root, item, categories[item.entry["category_id"]])
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def _add_object(root: ElementTree.Element, item: SoundObject, name: str) -> None:
    element = SubElement(root, "object")
    flags = {flag: int(bool(item.entry.get(flag))) for flag in ("truncated", "difficult")}
    _add(element, name=name, pose="Unspecified", **flags)
    corners = (digits(value, _DECIMALS) for value in item.box)
    keys = ("xmin", "ymin", "xmax", "ymax")
    _add(SubElement(element, "bndbox"), **dict(zip(keys, corners, strict=True)))


def _add(parent: ElementTree.Element, **texts: str | int) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)
