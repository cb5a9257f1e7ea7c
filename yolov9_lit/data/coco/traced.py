"""Outlines for the objects whose masks a COCO-format file gives as run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco.mask
import numpy as np

from yolov9_lit.data.coco.annotation_entries import SoundAnnotations
from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.image_entries import is_number
from yolov9_lit.data.coco.mask_entries import sound_mask
from yolov9_lit.data.coco.outline_entries import span_boxes
from yolov9_lit.data.coco.records import values_of
from yolov9_lit.data.mask_outlines import outlines_of
from yolov9_lit.data.polygons import FlatPolygons


def with_traced(
    sound: SoundAnnotations,
    entries: Sequence[Entry],
    images: Sequence[Entry],
    sizes: np.ndarray,
    faults: Faults,
) -> SoundAnnotations:
    """Give objects the outlines of their masks where these are what the file has.

    Run lengths that are broken, empty, not of such an image, or do not span the box give none.

    Args:
        sound: K annotations.
        entries: of the file.
        images: the N sound ones.
        sizes: (N, 2) their heights and widths.
        faults: what is wrong is added.
    """
    bare = np.flatnonzero(~sound.crowd & (np.diff(sound.polygons.object_offsets) == 0))
    values = values_of(entries, "segmentation", sound.entry[bare].tolist(), [True] * len(bare))
    masked, outlines = [], []
    for k, value in zip(bare.tolist(), values, strict=True):
        if not isinstance(value, dict):
            continue
        row = sound.row[k]
        found = _traced(value, (int(sizes[row, 0]), int(sizes[row, 1])))
        if isinstance(found, Fault):
            sound.tell(k, found, entries, images, faults)
        else:
            masked.append(k)
            outlines.append(found)
    traced, objects = FlatPolygons.pack(outlines), np.array(masked, dtype=np.int64)
    limits, _ = traced.bounds()
    fits = span_boxes(limits, sound.corners[objects], sizes[sound.row[objects], ::-1])
    for k in objects[~fits].tolist():
        sound.tell(k, Fault.OUTLINE_ELSEWHERE, entries, images, faults)
    order = np.arange(len(sound.polygons))
    order[objects[fits]] = len(order) + np.flatnonzero(fits)
    return sound._replace(polygons=FlatPolygons.joined([sound.polygons, traced]).take(order))


def _traced(mask: Mapping[str, Any], size: tuple[int, int]) -> list[np.ndarray] | Fault:
    """Return the outlines of a mask, one at least, or what is wrong with it."""
    stated = mask.get("size")
    if isinstance(stated, list) and stated != [*size] and [*map(is_number, stated)] == [True, True]:
        return Fault.MASK_SIZE
    if (sound := sound_mask(mask, size)) is None:
        return Fault.MASK_BROKEN
    outlines = outlines_of(np.ascontiguousarray(hotcoco.mask.decode(sound)))
    return outlines or Fault.MASK_EMPTY
