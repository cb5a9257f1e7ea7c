"""The label files of a YOLO data set: where they are, and what their lines say."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from yolov9_lit.data.coco.faults import Fault
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


def parse_line(
    line: str, size: tuple[int, int], ids: Mapping[int, int], *, keypoints: bool
) -> Entry | Fault:
    """Return the annotation of a line, or what is wrong with it.

    Args:
        line: `class cx cy w h` or `class x1 y1 x2 y2 ...` in fractions of the image.
        size: the image's height and width in pixels.
        ids: of the categories by class index.
        keypoints: whether numbers behind a box are no outline.
    """
    try:
        index, *values = map(float, line.split())
    except ValueError:
        return Fault.LINE_FORM
    if keypoints:
        values = values[:4]
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        return Fault.LINE_FORM
    if index not in ids:
        return Fault.LINE_CLASS
    if not all(map(math.isfinite, values)):
        return Fault.LINE_INFINITE
    if max(map(abs, values)) > _LARGEST_FRACTION:
        return Fault.LINE_PIXELS
    height, width = size
    pixels = [value * (height if i % 2 else width) for i, value in enumerate(values)]
    category = {"category_id": ids[int(index)]}
    if len(pixels) == 4:
        x, y, w, h = pixels
        return category | {"bbox": [x - w / 2, y - h / 2, w, h]}
    xs, ys = pixels[::2], pixels[1::2]
    box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    return category | {"bbox": box, "segmentation": [pixels]}
