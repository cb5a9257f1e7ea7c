"""The label files of a YOLO data set: where they are, and what their lines say."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from yolov9_lit.data.coco.faults import Fault, Size
from yolov9_lit.data.coco.file import Entry

_FEWEST_NUMBERS = 5  # Of a line: a class and a box.
_LARGEST_FRACTION = 1.5  # Fractions a bit outside 0..1 are clipped; pixels are refused.


class Labels:
    """Finds label files: in `labels` where an image's path has `images`, or beside the image.

    Capitals are as good as small letters in the names of both folders and in the ending.
    """

    def __init__(self) -> None:
        """Begin with no folder looked at; what is found is kept."""
        self._folder = cache(_labels_folder)

    def path(self, image: Path) -> Path:
        """Return the label file of an image; it may not exist."""
        beside = image.with_suffix(".txt")
        apart = self._folder(image.parent) / beside.name
        places = (apart, apart.with_suffix(".TXT"), beside, beside.with_suffix(".TXT"))
        return next((path for path in places if os.path.lexists(path)), apart)

    def folder(self, images: Path) -> Path:
        """Return where the labels of a folder of images should be."""
        return self._folder(images)


def _labels_folder(images: Path) -> Path:
    parts = images.parts
    above = [i for i, part in enumerate(parts) if part.lower() == "images"]
    if not above:
        return images
    parent, below = Path(*parts[: above[-1]]), parts[above[-1] + 1 :]
    there = sorted(p for p in parent.glob("*") if p.name.lower() == "labels" and p.is_dir())
    exact = parent / "labels"
    return (there[0] if there and exact not in there else exact).joinpath(*below)


def is_label_file(path: Path) -> bool:
    """Tell by its ending and its first line, which has to be numbers, if labels are in it."""
    if path.suffix.lower() != ".txt":
        return False
    try:
        with path.open(encoding="utf-8-sig") as lines:
            numbers = [*map(float, next(lines, "").split())]
    except (OSError, ValueError):
        return False
    return len(numbers) >= _FEWEST_NUMBERS


def read_lines(labels: Path) -> list[str]:
    """Return the lines of a label file; none where nothing is there.

    Raises:
        OSError: it cannot be read.
        UnicodeError: it is no text.
    """
    if not os.path.lexists(labels):  # A link that leads nowhere is no image without objects.
        return []
    return labels.read_text(encoding="utf-8-sig").splitlines()


def parse_line(line: str, size: Size, ids: Mapping[int, int], each: int | None) -> Entry | Fault:
    """Return the annotation of a line, or what is wrong with it.

    Args:
        line: `class cx cy w h`, with keypoints behind it or none, or `class x1 y1 x2 y2 ...` in
            fractions of the image.
        size: the image's height and width in pixels.
        ids: of the categories by class index.
        each: numbers of each keypoint behind a box, 2 or 3; with 0 they are passed over, with None
            there are no keypoints.
    """
    try:
        index, *values = map(float, line.split())
    except ValueError:
        return Fault.LINE_FORM
    behind: list[float] = []
    if each is not None:
        values, behind = values[:4], values[4:] if each else []
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        return Fault.LINE_FORM
    if index not in ids:
        return Fault.LINE_CLASS
    if not all(map(math.isfinite, values)):
        return Fault.LINE_INFINITE
    points = [behind[i : i + each] for i in range(0, len(behind), each)] if each else []
    places = chain(values, *(point[:2] for point in points))
    if max(map(abs, places)) > _LARGEST_FRACTION:
        return Fault.LINE_PIXELS
    shape = _outline(values, size) if len(values) > 4 else _box(values, points, size)
    return {"category_id": ids[int(index)]} | shape


def _box(values: Sequence[float], points: Sequence[Sequence[float]], size: Size) -> Entry:
    x, y, w, h = _in_pixels(values, size)
    keypoints = [value for point in points for value in _keypoint(point, size)]
    return {"bbox": [x - w / 2, y - h / 2, w, h]} | ({"keypoints": keypoints} if points else {})


def _outline(values: Sequence[float], size: Size) -> Entry:
    pixels = _in_pixels(values, size)
    xs, ys = pixels[::2], pixels[1::2]
    box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    return {"bbox": box, "segmentation": [pixels]}


def _in_pixels(values: Sequence[float], size: Size) -> list[float]:
    height, width = size
    return [value * (height if i % 2 else width) for i, value in enumerate(values)]


def _keypoint(point: Sequence[float], size: Size) -> Iterator[float]:
    """Yield x and y in pixels and the visibility; where none is stated what has a place is seen.

    What has none is written as zeros, or as numbers below them.
    """
    x, y, *stated = point
    placed = min(x, y) >= 0 and max(x, y) > 0
    yield from _in_pixels((x, y), size)
    yield stated[0] if stated else 2 * placed
