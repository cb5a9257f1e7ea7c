"""Writing a data set in YOLO's layout: data.yaml, images/SPLIT and labels/SPLIT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from yolov9_lit.data.prepare.formats.placing import digits, place, plain
from yolov9_lit.data.prepare.formats.source import (
    IDS_FILE,
    SourceData,
    SourceImage,
    SourceObject,
    noted_ids,
)
from yolov9_lit.files import write_json

_DECIMALS = 9  # Of fractions: a thousandth of a pixel is kept in images of any size.
_AGREEMENT = 1.0  # Pixels between a box and the bounds of its outline.


def write_yolo(out: Path, data: SourceData) -> tuple[str, ...]:
    """Writes data.yaml, `images/SPLIT/`, `labels/SPLIT/` and, for the way back, ids.json.

    Class indices are positions of the sorted category ids. Where every object has exactly one
    outline, and its box spans it, lines are outlines; otherwise all lines are boxes, for readers
    take a file with both for one kind.

    Returns:
        What the format cannot hold, in sentences.
    """
    data, lost = plain(data)
    objects = [o for images in data.splits.values() for p in images for o in p.objects]
    outlined = bool(objects) and all(map(_is_one_outline, objects))
    index = {category_id: i for i, category_id in enumerate(sorted(data.categories))}
    for split, images in data.splits.items():
        for image in images:
            place(image.path, out / "images" / split / image.name)
            labels = (out / "labels" / split / image.name).with_suffix(".txt")
            labels.parent.mkdir(parents=True, exist_ok=True)
            lines = (_line(entry, image, index, outlined) for entry in image.objects)
            labels.write_text("".join(lines), encoding="utf-8")
    config = {split: f"images/{split}" for split in data.splits} | {
        "names": {i: data.categories[category_id] for category_id, i in index.items()}
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (out / "data.yaml").write_text(text, encoding="utf-8")
    names = {split: [p.name for p in images] for split, images in data.splits.items()}
    write_json(out / IDS_FILE, noted_ids(data, names))
    return (*lost, *_lost(objects, outlined))


def _is_one_outline(entry: SourceObject) -> bool:
    if len(entry.polygons) != 1:
        return False
    xs, ys = entry.polygons[0][::2], entry.polygons[0][1::2]
    bounds = (min(xs), min(ys), max(xs), max(ys))
    pairs = zip(bounds, entry.corners, strict=True)
    return all(abs(bound - corner) <= _AGREEMENT for bound, corner in pairs)


def _line(entry: SourceObject, image: SourceImage, index: Mapping[int, int], outlined: bool) -> str:
    if outlined:
        pixels: Iterable[float] = entry.polygons[0]
    else:
        x1, y1, x2, y2 = entry.corners
        pixels = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    sides = (image.width, image.height)
    fractions = (digits(value / sides[i % 2], _DECIMALS) for i, value in enumerate(pixels))
    return f"{index[entry.category_id]} {' '.join(fractions)}\n"


def _lost(objects: list[SourceObject], outlined: bool) -> Iterable[str]:
    outlines = 0 if outlined else sum(bool(entry.polygons) or entry.mask for entry in objects)
    if outlines:
        yield f"{outlines:,} objects are boxes without their outlines: not all have exactly one"
