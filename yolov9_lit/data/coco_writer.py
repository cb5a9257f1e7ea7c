"""Writing a data set in COCO format: annotation files by split, and pictures beside them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolov9_lit.errors import UserError

_DECIMALS = 3  # Of coordinates, in pixels.


class SourceObject(NamedTuple):
    """An object to write.

    Attributes:
        category_id: the id to write.
        corners: x1, y1, x2, y2 in pixels, not yet clipped.
        polygon: [x1, y1, x2, y2, ...] in pixels; empty for a plain box.
        difficult: written as a key of its own; other readers ignore it.
    """

    category_id: int
    corners: tuple[float, float, float, float]
    polygon: tuple[float, ...] = ()
    difficult: bool = False


class SourcePicture(NamedTuple):
    """A picture to write; `labels` names the file its objects come from."""

    path: Path
    height: int
    width: int
    labels: str
    objects: Sequence[SourceObject]


class ConversionReport(NamedTuple):
    """What was written of a split; `left_out` has a label file's name for each box without area."""

    split: str
    images: int
    boxes: int
    left_out: tuple[str, ...]


def check_folders(src: Path, out: Path) -> None:
    """Refuses to convert from nothing or into something.

    Raises:
        UserError: `src` is no folder, or `out` exists and is not an empty folder.
    """
    if not src.is_dir():
        raise UserError(f"source folder {src} does not exist; check src")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty; delete it or choose another out")


def write_coco(
    out: Path, splits: Mapping[str, Sequence[SourcePicture]], categories: Mapping[int, str]
) -> list[ConversionReport]:
    """Writes `out/annotations/instances_{split}.json` and `out/{split}/` for each split.

    Pictures are hard links where the file system allows, copies elsewhere. Image ids are 1..n over
    a split's sorted file names. Boxes are clipped to their picture.

    Raises:
        UserError: two pictures of a split share a file name, or `out` cannot be written.
    """
    for split, pictures in splits.items():
        _check_names(split, pictures)
    try:
        return [_write_split(out, split, splits[split], categories) for split in splits]
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error}); choose another out") from error


def _check_names(split: str, pictures: Sequence[SourcePicture]) -> None:
    seen: dict[str, Path] = {}
    for picture in pictures:
        other = seen.setdefault(picture.path.name, picture.path)
        if other != picture.path:
            raise UserError(
                f"{other} and {picture.path} of split {split} share a file name; rename one"
            )


def _write_split(
    out: Path, split: str, pictures: Sequence[SourcePicture], categories: Mapping[int, str]
) -> ConversionReport:
    (out / split).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    left_out: list[str] = []
    for picture in sorted(pictures, key=lambda picture: picture.path.name):
        name, image_id = picture.path.name, len(images) + 1
        _link(picture.path, out / split / name)
        size = {"height": picture.height, "width": picture.width}
        images.append({"id": image_id, "file_name": name, **size})
        for entry in picture.objects:
            annotation = _annotation(entry, picture)
            if annotation is None:
                left_out.append(picture.labels)
                continue
            ids = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append(ids | annotation)
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in sorted(categories.items())],
    }
    (out / "annotations").mkdir(exist_ok=True)
    target = out / "annotations" / f"instances_{split}.json"
    target.write_text(json.dumps(content), encoding="utf-8")
    return ConversionReport(split, len(images), len(annotations), tuple(left_out))


def _annotation(entry: SourceObject, picture: SourcePicture) -> dict[str, Any] | None:
    """The annotation without its ids, None where the box has no area inside the picture."""
    limits = (picture.width, picture.height)
    corners = [min(max(v, 0.0), limits[i % 2]) for i, v in enumerate(entry.corners)]
    x, y, right, bottom = (round(v, _DECIMALS) for v in corners)
    if right <= x or bottom <= y:
        return None
    polygon = [round(v, _DECIMALS) for v in entry.polygon]
    width, height = round(right - x, _DECIMALS), round(bottom - y, _DECIMALS)
    return {
        "category_id": entry.category_id,
        "bbox": [x, y, width, height],
        "area": _polygon_area(polygon) if polygon else width * height,
        "iscrowd": 0,
        "segmentation": [polygon] if polygon else [],
        **({"difficult": 1} if entry.difficult else {}),
    }


def _polygon_area(polygon: Sequence[float]) -> float:
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    following = points[1:] + points[:1]
    pairs = zip(points, following, strict=True)
    return abs(sum(x * v - u * y for (x, y), (u, v) in pairs)) / 2


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # Another file system, or one without links.
        shutil.copyfile(source, target)
