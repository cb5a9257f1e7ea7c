"""The content of COCO-format annotation files, made of judged entries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.judge import Judged

_DECIMALS = 3  # Of coordinates, in pixels.


def annotation_path(root: Path, split: str) -> Path:
    """Return where the annotation file of a split lies."""
    return root / "annotations" / f"instances_{split}.json"


def coco_content(judged: Judged, folder: Path = Path()) -> dict[str, Any]:
    """Return what the annotation file of a split holds, its boxes inside their images.

    Args:
        judged: what to write.
        folder: is put before the images' names.
    """
    images = judged.by_image()
    objects = [item for image in images for item in image.objects]
    return {
        "images": [
            {"id": image.entry["id"], "file_name": str(folder / image.name)}
            | {side: int(image.entry[side]) for side in ("height", "width")}
            for image in images
        ],
        "annotations": [
            {"id": i} | annotation_entry(item) for i, item in enumerate(objects, start=1)
        ],
        "categories": judged.categories,
    }


def annotation_entry(item: SoundObject) -> Entry:
    """Return the annotation without its id."""
    x, y, right, bottom = (round(value, _DECIMALS) for value in item.box)
    width, height = round(right - x, _DECIMALS), round(bottom - y, _DECIMALS)
    polygons = [[round(float(value), _DECIMALS) for value in outline] for outline in item.outlines]
    return {
        "image_id": item.entry["image_id"],
        "category_id": item.entry["category_id"],
        "bbox": [x, y, width, height],
        "area": sum(map(_area, polygons)) if polygons else width * height,
        "iscrowd": int(item.crowd),
        "segmentation": polygons,
        **{flag: 1 for flag in ("difficult", "truncated") if item.entry.get(flag)},
        **_keypoints(item),
    }


def _keypoints(item: SoundObject) -> Entry:
    """Return what the annotation says of its keypoints; nothing where no category has any."""
    if not len(item.keypoints):
        return {}
    rounded = item.keypoints.round(_DECIMALS).tolist()
    return {
        "num_keypoints": int((item.keypoints[:, 2] > 0).sum()),
        "keypoints": [value for x, y, visibility in rounded for value in (x, y, int(visibility))],
    }


def _area(polygon: Sequence[float]) -> float:
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    following = points[1:] + points[:1]
    pairs = zip(points, following, strict=True)
    return abs(sum(x * v - u * y for (x, y), (u, v) in pairs)) / 2
