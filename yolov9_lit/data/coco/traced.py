"""Outlines for the objects whose masks a COCO-format file gives as run lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hotcoco.mask
import numpy as np

from yolov9_lit.data.coco.annotation_entries import SoundAnnotations
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.mask_entries import sound_mask
from yolov9_lit.data.coco.outline_entries import span_boxes
from yolov9_lit.data.coco.records import values_of
from yolov9_lit.data.mask_outlines import outlines_of
from yolov9_lit.data.polygons import FlatPolygons


def with_traced(
    sound: SoundAnnotations, entries: Sequence[Entry], sizes: np.ndarray
) -> FlatPolygons:
    """Return the objects' outlines, those of their masks where these are what the file has.

    Run lengths that are broken, not of such an image, or do not span the box have none.

    Args:
        sound: K annotations.
        entries: of the file.
        sizes: (N, 2) heights and widths of the images.
    """
    bare = np.flatnonzero(~sound.crowd & (np.diff(sound.polygons.object_offsets) == 0))
    size = sizes[sound.row[bare]]
    values = values_of(entries, "segmentation", sound.entry[bare].tolist(), [True] * len(bare))
    traced = FlatPolygons.pack(
        _traced(value, (int(height), int(width)))
        for value, (height, width) in zip(values, size.tolist(), strict=True)
    )
    limits, outlined = traced.bounds()
    fits = span_boxes(limits, sound.corners[bare][outlined], size[outlined, ::-1])
    fitting = np.flatnonzero(outlined)[fits]
    order = np.arange(len(sound.polygons))
    order[bare[fitting]] = len(order) + fitting
    return FlatPolygons.joined([sound.polygons, traced]).take(order)


def _traced(segmentation: Any, size: tuple[int, int]) -> list[np.ndarray]:
    mask = sound_mask(segmentation, size) if isinstance(segmentation, dict) else None
    return outlines_of(np.ascontiguousarray(hotcoco.mask.decode(mask))) if mask else []
