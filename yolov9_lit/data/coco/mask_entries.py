"""The masks of a COCO-format file's `annotations`, in one form: compressed run lengths."""

from __future__ import annotations

from typing import Any

import hotcoco.mask
import numpy as np

from yolov9_lit.data.coco.outline_entries import usable

RLE = dict[str, Any]
"""What COCO's libraries and files take for a mask: "size" (height, width) and "counts"."""


def box_mask(box: list[float], size: tuple[int, int]) -> RLE:
    """Return the mask of a box x, y, width, height in an image of a height and width."""
    mask: RLE = hotcoco.mask.fr_bbox(box, *size)
    return mask


def mask_entry(mask: np.ndarray) -> dict[str, Any]:
    """Return what an annotation says of a mask (H, W) of 0 and 1: "segmentation" and "area"."""
    encoded: RLE = hotcoco.mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    run_lengths = encoded | {"counts": encoded["counts"].decode()}
    return {"segmentation": run_lengths, "area": int(mask.sum())}


def sound_mask(segmentation: Any, size: tuple[int, int]) -> RLE | None:
    """Return what an annotation's "segmentation" covers, pixel by pixel as pycocotools does.

    Args:
        segmentation: polygons, of which the sound ones count, or run lengths, compressed or not.
        size: height and width of the image.

    Returns:
        None where there is no sound outline or mask of such an image.
    """
    height, width = size
    if isinstance(segmentation, list):
        polygons = [p for p in usable(segmentation) if _is_near(p, size)]
        parts = hotcoco.mask.fr_py_objects(polygons, height, width) if polygons else []
    elif isinstance(segmentation, dict) and segmentation.get("size") == [height, width]:
        given = _run_lengths(segmentation.get("counts"), size)
        # What short run lengths do not tell of is outside, which merging adds: pycocotools would
        # wait for it.
        parts = [given, box_mask([0, 0, 0, 0], size)] if given else []
    else:
        parts = []
    return hotcoco.mask.merge(parts) if parts else None


def _is_near(polygon: list[float], size: tuple[int, int]) -> bool:
    """Tell whether an outline reaches no farther than its image's size beyond it.

    Drawing takes memory for each pixel of an outline's length.
    """
    points = np.array(polygon, dtype=float).reshape(-1, 2)
    sides = np.array(size[::-1])
    return bool(((points >= -sides) & (points <= 2 * sides)).all())


def _run_lengths(counts: Any, size: tuple[int, int]) -> RLE | None:
    """Return run lengths compressed; None where they are none, or of a larger image."""
    height, width = size
    try:
        if isinstance(counts, str):
            return hotcoco.mask.rle_from_string(counts, height, width)
        if isinstance(counts, list):
            given = {"size": [height, width], "counts": counts}
            return hotcoco.mask.fr_py_objects(given, height, width)
    except (ValueError, TypeError, OverflowError):
        pass
    return None
