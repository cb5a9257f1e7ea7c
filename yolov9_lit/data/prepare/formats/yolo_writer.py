"""Writing a data set in YOLO's layout: data.yaml, images/SPLIT and labels/SPLIT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.faults import Box
from yolov9_lit.data.coco.judge import Judged, SoundImage
from yolov9_lit.data.prepare.formats.one_outline import OneOutline, one_outline
from yolov9_lit.data.prepare.formats.placing import digits, place, plain
from yolov9_lit.data.prepare.formats.source import IDS_FILE
from yolov9_lit.data.prepare.formats.yolo_keypoints import keypoint_config
from yolov9_lit.errors import told
from yolov9_lit.files import write_json

_DECIMALS = 9  # Of fractions: a thousandth of a pixel is kept in images of any size.
_ROUNDING = 0.02  # Pixels between a box and the bounds of its outline: both have two decimals.


class _Lines(NamedTuple):
    """The lines of a label file, and the outlines in them; none where the lines are boxes."""

    text: str
    outlines: list[OneOutline]


def write_yolo(out: Path, splits: Mapping[str, Judged]) -> tuple[str, ...]:
    """Write data.yaml, `images/SPLIT/`, `labels/SPLIT/` and, for the way back, ids.json.

    Class indices are positions of the sorted category ids. If a category has keypoints lines are
    boxes and keypoints, zeros where none are annotated. Else, if most objects have an outline all
    lines are outlines, otherwise all are boxes: readers take a file with both for one kind.

    Returns:
        What the format cannot hold, in sentences.
    """
    data = plain(splits)
    objects = [
        item for images in data.splits.values() for image in images for item in image.objects
    ]
    with_outlines = sum(bool(item.outlines) for item in objects)
    outlined = not data.layouts and with_outlines > len(objects) / 2
    index = {category_id: i for i, category_id in enumerate(data.names)}
    made: list[OneOutline] = []
    for split, images in data.splits.items():
        for image in images:
            place(image.path, out / "images" / split / image.name)
            labels = (out / "labels" / split / image.name).with_suffix(".txt")
            labels.parent.mkdir(parents=True, exist_ok=True)
            lines = _lines(image, index, outlined)
            labels.write_text(lines.text, encoding="utf-8")
            made += lines.outlines
    config = {split: f"images/{split}" for split in data.splits}
    names = {"names": dict(enumerate(data.names.values()))}
    keypoints = keypoint_config({index[i]: layout for i, layout in data.layouts.items()})
    text = yaml.safe_dump(config | names | keypoints, sort_keys=False, allow_unicode=True)
    (out / "data.yaml").write_text(text, encoding="utf-8")
    in_order = {split: [image.name for image in images] for split, images in data.splits.items()}
    write_json(out / IDS_FILE, data.ids(in_order))
    if outlined:
        return (*data.lost, *_changes(made, objects))
    why = "lines with keypoints hold none" if data.layouts else "most have none"
    beyond = sum(
        int((item.keypoints[:, 2] > _inside(item, image)[:, 2]).sum())
        for images in data.splits.values()
        for image in images
        for item in image.objects
    )
    lost = (
        (with_outlines, f"objects are left without their outlines: {why}"),
        (beyond, "keypoints outside their image are left out"),
    )
    return (*data.lost, *(told(count, sentence) for count, sentence in lost if count))


def _lines(image: SoundImage, index: Mapping[int, int], outlined: bool) -> _Lines:
    sides = (int(image.entry["width"]), int(image.entry["height"]))
    outlines = [one_outline(item, sides[::-1]) for item in image.objects] if outlined else []
    numbers = [outline.points.ravel().tolist() for outline in outlines]
    rows = numbers or [_centred(item.box) for item in image.objects]
    lines = []
    for item, row in zip(image.objects, rows, strict=True):
        fractions = [digits(value / sides[i % 2], _DECIMALS) for i, value in enumerate(row)]
        fractions += [
            digits(value / side, _DECIMALS)
            for point in _inside(item, image).tolist()
            for value, side in zip(point, (*sides, 1), strict=True)
        ]
        lines.append(f"{index[item.entry['category_id']]} {' '.join(fractions)}\n")
    return _Lines("".join(lines), outlines)


def _centred(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def _inside(item: SoundObject, image: SoundImage) -> np.ndarray:
    """Return the keypoints (J, 3), zeros for those outside the image: no fraction is above 1."""
    sides = np.array([image.entry["width"], image.entry["height"]])
    points = item.keypoints[:, :2]
    out = (points < 0) | (points > sides)
    return np.where(out.any(axis=1, keepdims=True), 0.0, item.keypoints)


def _changes(outlines: Sequence[OneOutline], objects: Sequence[SoundObject]) -> Iterator[str]:
    """Yield sentences on how lines of outlines differ from the objects."""
    off = [outline.beside(item.box) for outline, item in zip(outlines, objects, strict=True)]
    moved = [pixels for pixels in off if pixels > _ROUNDING]
    most = f"{max(off, default=0):.2g}"
    for count, sentence in (
        (sum(o.boxed for o in outlines), "objects have no outline: their box is written as one"),
        (
            sum(o.parts and not o.overlapping for o in outlines),
            "objects of several parts are one outline, joined by cuts of no width",
        ),
        (
            sum(o.overlapping for o in outlines),
            "objects of parts that overlap are one outline, along the pixels that they cover",
        ),
        (
            len(moved),
            f"boxes are up to {most} pixels off: the bounds of an outline count",
        ),
    ):
        if count:
            yield told(count, sentence)
