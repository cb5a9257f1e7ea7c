"""Images with captions on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from yolov9_lit.reporting.lettering import line_of_ink

_PAPER, _GAP, _LETTER = 250, 12, 14


def draw_sheet(images: Sequence[tuple[np.ndarray, str]], columns: int | None = None) -> np.ndarray:
    """Put images in rows, a caption above each.

    Args:
        images: at least one, (H, W, 3) uint8 RGB of any size with its caption, one line, whose end
            is cut where it is longer than the widest image.
        columns: images of a row; by default so many that the sheet is about square.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    line = line_of_ink("", _LETTER).shape[0]
    height = max(image.shape[0] for image, _ in images) + line + _GAP
    width = max(image.shape[1] for image, _ in images) + _GAP
    columns = columns or min(math.ceil(math.sqrt(len(images) * height / width)), len(images))
    rows = math.ceil(len(images) / columns)
    shape = (rows * height + _GAP, columns * width + _GAP, 3)
    sheet = np.full(shape, _PAPER, dtype=np.uint8)
    for i, (image, caption) in enumerate(images):
        top, left = _GAP + i // columns * height, _GAP + i % columns * width
        ink = line_of_ink(caption, _LETTER)[:, : width - _GAP]
        sheet[top : top + line, left : left + ink.shape[1]] = _PAPER - (ink * (_PAPER / 255))[
            ..., None
        ].astype(np.uint8)
        top += line
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
