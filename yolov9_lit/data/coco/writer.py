"""Writing a data set in COCO format: annotation files by split, and images beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from yolov9_lit.data.prepare.formats.placing import place
from yolov9_lit.data.prepare.formats.source import SourceData, SourceImage, SourceObject
from yolov9_lit.files import write_json

_DECIMALS = 3  # Of coordinates, in pixels.


def write_coco(out: Path, data: SourceData) -> tuple[str, ...]:
    """Writes `out/annotations/instances_{split}.json` and `out/{split}/` for each split.

    Returns:
        What the format cannot hold: nothing.
    """
    for split, images in data.splits.items():
        for image in images:
            place(image.path, out / split / image.name)
        content = coco_content(images, data.categories, lambda image: image.name)
        write_json(annotation_path(out, split), content)
    return ()


def annotation_path(root: Path, split: str) -> Path:
    """Where the annotation file of a split lies."""
    return root / "annotations" / f"instances_{split}.json"


def coco_content(
    images: Sequence[SourceImage],
    categories: Mapping[int, str],
    file_name: Callable[[SourceImage], str],
) -> dict[str, Any]:
    """What the annotation file of a split holds.

    Args:
        images: in the order to write them in.
        categories: names by id.
        file_name: what to write as the path of an image.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image in images:
        size = {"height": image.height, "width": image.width}
        listed.append({"id": image.id, "file_name": file_name(image), **size})
        for entry in image.objects:
            ids = {"id": len(annotations) + 1, "image_id": image.id}
            annotations.append(ids | _annotation(entry))
    named = [{"id": i, "name": name} for i, name in sorted(categories.items())]
    return {"images": listed, "annotations": annotations, "categories": named}


def _annotation(entry: SourceObject) -> dict[str, Any]:
    """The annotation without its ids."""
    x, y, right, bottom = (round(value, _DECIMALS) for value in entry.corners)
    width, height = round(right - x, _DECIMALS), round(bottom - y, _DECIMALS)
    polygons = [[round(value, _DECIMALS) for value in outline] for outline in entry.polygons]
    flags = {name: 1 for name in ("difficult", "truncated") if getattr(entry, name)}
    return {
        "category_id": entry.category_id,
        "bbox": [x, y, width, height],
        "area": sum(map(_area, polygons)) if polygons else width * height,
        "iscrowd": int(entry.crowd),
        "segmentation": polygons,
        **flags,
    }


def _area(polygon: Sequence[float]) -> float:
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    following = points[1:] + points[:1]
    pairs = zip(points, following, strict=True)
    return abs(sum(x * v - u * y for (x, y), (u, v) in pairs)) / 2
