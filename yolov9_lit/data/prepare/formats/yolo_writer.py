"""Writing a data set in YOLO's layout: data.yaml, images/SPLIT and labels/SPLIT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import yaml

from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.judge import Judged, SoundImage
from yolov9_lit.data.prepare.formats.placing import digits, has_outline, place, plain
from yolov9_lit.data.prepare.formats.source import IDS_FILE
from yolov9_lit.data.prepare.formats.yolo_keypoints import keypoint_config
from yolov9_lit.errors import told
from yolov9_lit.files import write_json

_DECIMALS = 9  # Of fractions: a thousandth of a pixel is kept in images of any size.
_AGREEMENT = 1.0  # Pixels between a box and the bounds of its outline.


def write_yolo(out: Path, splits: Mapping[str, Judged]) -> tuple[str, ...]:
    """Write data.yaml, `images/SPLIT/`, `labels/SPLIT/` and, for the way back, ids.json.

    Class indices are positions of the sorted category ids. If a category has keypoints lines are
    boxes and keypoints, zeros where none are annotated. Else, if every object has exactly one
    outline, and its box spans it, lines are outlines; otherwise all lines are boxes, for readers
    take a file with both for one kind.

    Returns:
        What the format cannot hold, in sentences.
    """
    data = plain(splits)
    objects = [
        item for images in data.splits.values() for image in images for item in image.objects
    ]
    outlined = bool(objects) and not data.layouts and all(map(_is_one_outline, objects))
    index = {category_id: i for i, category_id in enumerate(data.names)}
    for split, images in data.splits.items():
        for image in images:
            place(image.path, out / "images" / split / image.name)
            labels = (out / "labels" / split / image.name).with_suffix(".txt")
            labels.parent.mkdir(parents=True, exist_ok=True)
            lines = (_line(item, image, index, outlined) for item in image.objects)
            labels.write_text("".join(lines), encoding="utf-8")
    config = {split: f"images/{split}" for split in data.splits}
    names = {"names": dict(enumerate(data.names.values()))}
    keypoints = keypoint_config({index[i]: layout for i, layout in data.layouts.items()})
    text = yaml.safe_dump(config | names | keypoints, sort_keys=False, allow_unicode=True)
    (out / "data.yaml").write_text(text, encoding="utf-8")
    in_order = {split: [image.name for image in images] for split, images in data.splits.items()}
    write_json(out / IDS_FILE, data.ids(in_order))
    lost = 0 if outlined else sum(map(has_outline, objects))
    beyond = sum(
        int((item.keypoints[:, 2] > _inside(item, image)[:, 2]).sum())
        for images in data.splits.values()
        for image in images
        for item in image.objects
    )
    outside = told(beyond, "keypoints outside their image are left out")
    why = "lines with keypoints hold none" if data.layouts else "all would need exactly one"
    sentence = told(lost, f"objects are left without their outlines: {why}")
    return (*data.lost, *([sentence] if lost else []), *([outside] if beyond else []))


def _is_one_outline(item: SoundObject) -> bool:
    if len(item.outlines) != 1:
        return False
    xs, ys = item.outlines[0][::2], item.outlines[0][1::2]
    bounds = (min(xs), min(ys), max(xs), max(ys))
    return all(abs(a - b) <= _AGREEMENT for a, b in zip(bounds, item.box, strict=True))


def _inside(item: SoundObject, image: SoundImage) -> np.ndarray:
    """Return the keypoints (J, 3), zeros for those outside the image: no fraction is above 1."""
    sides = np.array([image.entry["width"], image.entry["height"]])
    points = item.keypoints[:, :2]
    out = (points < 0) | (points > sides)
    return np.where(out.any(axis=1, keepdims=True), 0.0, item.keypoints)


def _line(item: SoundObject, image: SoundImage, index: Mapping[int, int], outlined: bool) -> str:
    x1, y1, x2, y2 = item.box
    pixels: Iterable[float] = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    if outlined:
        pixels = item.outlines[0]
    sides = (image.entry["width"], image.entry["height"])
    fractions = (digits(value / sides[i % 2], _DECIMALS) for i, value in enumerate(pixels))
    visible = (
        digits(value / side, _DECIMALS)
        for point in _inside(item, image).tolist()
        for value, side in zip(point, (*sides, 1), strict=True)
    )
    return f"{index[item.entry['category_id']]} {' '.join((*fractions, *visible))}\n"
