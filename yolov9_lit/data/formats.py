"""Converting Pascal VOC and YOLO data sets to COCO format.

Both read and check everything before they write anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from yolov9_lit.data.coco_writer import (
    ConversionReport,
    SourceObject,
    SourcePicture,
    check_folders,
    write_coco,
)
from yolov9_lit.data.images import picture_size
from yolov9_lit.errors import UserError

__all__ = ["ConversionReport", "convert_voc", "convert_yolo"]

_SPLITS = ("train", "val", "test")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_LARGEST_FRACTION = 1.5  # Fractions a bit outside 0..1 are clipped; pixels are refused.


def convert_voc(src: Path, out: Path) -> list[ConversionReport]:
    """Converts `src/{Annotations,ImageSets/Main,JPEGImages}` to COCO format in `out`.

    Each of the lists train.txt, val.txt and test.txt becomes a split. Category ids are 1.. over
    the sorted names of all splits. Corners are taken as they stand, in plain pixel coordinates;
    "difficult" objects keep that key and count as others. Boxes without area are left out.

    Raises:
        UserError: a folder, list, annotation or picture is missing or malformed, or `out` is not
            empty.
    """
    check_folders(src, out)
    roots = {split: _read_voc_split(src, split) for split in _SPLITS}
    roots = {split: entries for split, entries in roots.items() if entries}
    if not roots:
        raise UserError(f"{src / 'ImageSets' / 'Main'} has no train, val or test list with names")
    every = [entry for entries in roots.values() for entry in entries]
    names = sorted(
        {_voc_text(o, "name", xml) for xml, root in every for o in root.findall("object")}
    )
    ids = {name: i for i, name in enumerate(names, start=1)}
    splits = {
        split: [_voc_picture(src, xml, root, ids) for xml, root in entries]
        for split, entries in roots.items()
    }
    return write_coco(out, splits, {i: name for name, i in ids.items()})


def convert_yolo(src: Path, out: Path) -> list[ConversionReport]:
    """Converts the YOLO data set that `src/data.yaml` describes to COCO format in `out`.

    The entries train, val and test are a folder, a list file of pictures or a list of these.
    Labels lie in `labels` where a picture's path has `images`, or beside it; a line is
    `class cx cy w h` or `class x1 y1 x2 y2 ...` in fractions of the picture. A picture without a
    label file has no objects. Category ids are the class indices plus 1. Boxes without area are
    left out.

    Raises:
        UserError: data.yaml, a folder, label or picture is missing or malformed, or `out` is not
            empty.
    """
    check_folders(src, out)
    config, names = _read_yolo_config(src / "data.yaml")
    splits: dict[str, list[SourcePicture]] = {}
    for split in _SPLITS:
        entries = config.get(split) or []
        paths: set[Path] = set()
        for entry in entries if isinstance(entries, list) else [entries]:
            paths.update(_yolo_paths(src, str(config.get("path") or "."), str(entry)))
        if paths:
            splits[split] = [_yolo_picture(path, names) for path in sorted(paths)]
    if not splits:
        raise UserError(f"{src / 'data.yaml'} names no pictures under train, val or test")
    return write_coco(out, splits, {index + 1: name for index, name in names.items()})


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); check the data set") from error


def _read_voc_split(src: Path, split: str) -> list[tuple[Path, ElementTree.Element]]:
    """Path and content of each annotation a list names; none where there is no such list."""
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        if not (src / folder).is_dir():
            raise UserError(f"{src} lacks the folder {folder}; give the root of a VOC data set")
    names = src / "ImageSets" / "Main" / f"{split}.txt"
    if not names.is_file():
        return []
    entries = []
    for name in dict.fromkeys(_read_text(names).splitlines()):
        if name.strip():
            xml = src / "Annotations" / f"{name.strip()}.xml"
            try:
                entries.append((xml, ElementTree.parse(xml).getroot()))
            except (OSError, ElementTree.ParseError) as error:
                reason = f"annotation {xml}, listed in {names}, cannot be read ({error})"
                raise UserError(f"{reason}; mend it or take it off the list") from error
    return entries


def _voc_text(element: ElementTree.Element, tag: str, xml: Path) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise UserError(f"{xml} has <{element.tag}> without <{tag}>; complete it")
    return text


def _voc_numbers(
    parent: ElementTree.Element, tag: str, keys: Sequence[str], xml: Path
) -> tuple[float, ...]:
    element = parent.find(tag)
    if element is None:
        raise UserError(f"{xml} has <{parent.tag}> without <{tag}>; complete it")
    texts = [_voc_text(element, key, xml) for key in keys]
    return _numbers(texts, f"<{tag}> of {xml}")


def _numbers(texts: Sequence[str], where: str) -> tuple[float, ...]:
    try:
        values = tuple(float(text) for text in texts)
    except ValueError:
        values = (math.nan,)
    if not all(math.isfinite(value) for value in values):
        raise UserError(f"{where} holds '{' '.join(texts)}' where numbers belong; correct it")
    return values


def _voc_picture(
    src: Path, xml: Path, root: ElementTree.Element, ids: Mapping[str, int]
) -> SourcePicture:
    stem = src / "JPEGImages" / xml.stem
    candidates = [stem.with_name(stem.name + suffix) for suffix in _SUFFIXES]
    candidates.append(stem.with_name(root.findtext("filename") or xml.stem))
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise UserError(f"the picture of {xml} is missing in {stem.parent}; add it")
    size = picture_size(path) or _voc_numbers(root, "size", ("height", "width"), xml)
    objects = []
    for entry in root.findall("object"):
        x1, y1, x2, y2 = _voc_numbers(entry, "bndbox", ("xmin", "ymin", "xmax", "ymax"), xml)
        difficult = (entry.findtext("difficult") or "").strip() == "1"
        category_id = ids[_voc_text(entry, "name", xml)]
        objects.append(SourceObject(category_id, (x1, y1, x2, y2), difficult=difficult))
    return SourcePicture(path, int(size[0]), int(size[1]), xml.name, objects)


def _read_yolo_config(path: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """The content of data.yaml and its class names by index."""
    try:
        config = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())})") from error
    names = config.get("names") if isinstance(config, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(i, int) for i in names):
        raise UserError(f"{path} lacks names: write a list, or a mapping from index to name")
    return config, {index: str(name) for index, name in names.items()}


def _yolo_paths(src: Path, base: str, entry: str) -> list[Path]:
    """The pictures of a folder or a list file.

    Some exporters write `../train/images` for `train/images`; the former is tried first.
    """
    candidates = [src / base / entry, src / entry, src / entry.removeprefix("../")]
    place = next((path for path in candidates if path.exists()), None)
    if place is None:
        raise UserError(f"{candidates[0]}, named in {src / 'data.yaml'}, does not exist")
    if place.is_dir():
        return _yolo_folder(place)
    pictures = []
    for line in filter(None, map(str.strip, _read_text(place).splitlines())):
        options = (place.parent / line, src / base / line)
        picture = next((path for path in options if path.is_file()), None)
        if picture is None:
            raise UserError(f"picture {line}, listed in {place}, does not exist; add it")
        pictures.append(picture)
    return pictures


def _yolo_folder(folder: Path) -> list[Path]:
    pictures = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES]
    label_folder = _label_path(folder / "any").parent
    if label_folder != folder:
        known = {_label_path(path) for path in pictures}
        for label in sorted(label_folder.rglob("*.txt")):
            if label not in known and label.name != "classes.txt":
                raise UserError(f"the picture of {label} is missing in {folder}; add it")
    return pictures


def _label_path(picture: Path) -> Path:
    """The label file: `labels` for the last `images` in the path, or beside the picture."""
    beside = picture.with_suffix(".txt")
    parts = list(beside.parts)
    if "images" not in parts:
        return beside
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    apart = Path(*parts)
    return beside if beside.is_file() and not apart.is_file() else apart


def _yolo_picture(path: Path, names: Mapping[int, str]) -> SourcePicture:
    size = picture_size(path)
    if size is None:
        raise UserError(f"{path} is damaged or no picture; replace it or take it out")
    labels = _label_path(path)
    lines = _read_text(labels).splitlines() if labels.is_file() else []
    objects = [
        _yolo_object(line.split(), size, names, f"line {number} of {labels}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    return SourcePicture(path, *size, labels.name, objects)


def _yolo_object(
    texts: Sequence[str], size: tuple[int, int], names: Mapping[int, str], where: str
) -> SourceObject:
    index, *values = _numbers(texts, where)
    if index not in names:
        raise UserError(f"{where} has the class {texts[0]}, which names lacks; correct either")
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise UserError(f"{where} has {len(values)} coordinates; give 4, or 6 or more in pairs")
    if max(map(abs, values)) > _LARGEST_FRACTION:
        raise UserError(f"{where} has coordinates beyond 0 to 1; give fractions of the picture")
    height, width = size
    pixels = [value * (height if i % 2 else width) for i, value in enumerate(values)]
    if len(pixels) == 4:
        x, y, w, h = pixels
        return SourceObject(int(index) + 1, (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    xs, ys = pixels[::2], pixels[1::2]
    return SourceObject(int(index) + 1, (min(xs), min(ys), max(xs), max(ys)), tuple(pixels))
