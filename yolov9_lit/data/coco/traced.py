"""Outlines for the objects whose masks a COCO-format file gives as run lengths."""

from __future__ import annotations

import hotcoco.mask
import numpy as np

from yolov9_lit.data.coco.annotation_entries import SoundObject, spans_box
from yolov9_lit.data.coco.mask_entries import sound_mask
from yolov9_lit.data.coco.outline_entries import Outlines
from yolov9_lit.data.mask_outlines import outlines_of


def traced_outlines(item: SoundObject, size: tuple[int, int] | None) -> Outlines:
    """Return the outlines of an object's mask.

    Args:
        item: with run lengths, compressed or not, as its "segmentation".
        size: height and width of the image; None where that is not known.

    Returns:
        None where the run lengths are broken, not of such an image, or do not span the box.
    """
    mask = sound_mask(item.entry["segmentation"], size) if size else None
    if not size or not mask:
        return ()
    parts = outlines_of(np.ascontiguousarray(hotcoco.mask.decode(mask)))
    outlines = [points.ravel().tolist() for points in parts]
    return outlines if spans_box(outlines, item.box, size) else ()
