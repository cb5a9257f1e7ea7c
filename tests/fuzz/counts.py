"""Images and boxes of a data set, counted without the package: what must be used or told."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import hostile_yolo
from hostile_coco import ANNOTATIONS

Counts = Callable[[Path, str], tuple[int | None, int | None]]
"""Given a root and a split, counts its images and its boxes; None where that is not plain."""

ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".gif"}
_LISTED = re.compile(r"(\w+)(\.jpg|\.xml)?( +-?[01])?")


def count_coco(root: Path, split: str) -> tuple[int | None, int | None]:
    """Count what a COCO-format file lists."""
    content = json.loads((root / ANNOTATIONS[split]).read_bytes())
    return len(content["images"]), len(content["annotations"])


def count_yolo(root: Path, split: str) -> tuple[int | None, int | None]:
    """Count the files in the folder of images, and the lines of all labels of these."""
    folder, config = root / "images" / split, root / hostile_yolo.CONFIG
    sound = hostile_yolo.sound_yolo()[hostile_yolo.CONFIG]
    if config.read_bytes() != sound or any(path.is_symlink() for path in root.rglob("*")):
        return None, None
    inside = [(p, p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
    shown = [p for p, name in inside if not any(part.startswith(".") for part in name.parts)]
    images = [path for path in shown if path.suffix.lower() in ENDINGS]
    lines = 0
    for image in images:
        labels = root / "labels" / image.relative_to(root / "images").with_suffix(".txt")
        if not labels.is_file() and image.with_suffix(".txt").is_file():
            return len(images), None
        try:
            text = labels.read_text("utf-8-sig") if labels.is_file() else ""
        except UnicodeError:
            return len(images), None
        lines += sum(bool(line.strip()) for line in text.splitlines())
    return len(images), lines


def count_voc(root: Path, split: str) -> tuple[int | None, int | None]:
    """Count the names of the list, and the objects in the XML files that it names."""
    try:
        lines = (root / f"ImageSets/Main/{split}.txt").read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeError):
        return None, None
    found = [_LISTED.fullmatch(line.strip()) for line in lines if line.strip()]
    stems = {match[1] for match in found if match}
    if None in found:
        return None, None
    objects = 0
    for stem in stems:
        try:
            text = ElementTree.parse(root / f"Annotations/{stem}.xml")
        except (OSError, ElementTree.ParseError, ValueError, LookupError):
            return len(stems), None
        objects += len(text.findall("{*}object"))
    return len(stems), objects
