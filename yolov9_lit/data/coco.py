"""Annotation files in COCO format, read into flat arrays.

The format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.pictures import PictureFiles
from yolov9_lit.data.polygons import FlatPolygons, pack_polygons
from yolov9_lit.errors import UserError

logger = logging.getLogger(__name__)


def read_coco(annotation_file: Path, image_dir: Path) -> Annotations:
    """Reads a COCO annotation file.

    Boxes are clipped to their picture; those not finite or without area inside it are left out,
    with one warning that counts them. Of the pictures only the first is checked to exist.

    Raises:
        UserError: the file or folder is missing, is no COCO JSON, or contradicts itself.
    """
    content = _load(annotation_file, image_dir)
    categories = _categories(content["categories"], annotation_file)
    image_ids, names, sizes = _images(content["images"], annotation_file)
    first = image_dir / names[0]
    if not first.is_file():
        raise UserError(
            f"picture {first} of {annotation_file} is missing; give the folder its names start from"
        )
    annotations: list[dict[str, Any]] = content["annotations"]
    rows = _positions(annotations, "image_id", image_ids, annotation_file)
    ids = [category.id for category in categories]
    labels = _positions(annotations, "category_id", ids, annotation_file)
    boxes, good = _boxes(annotations, sizes[rows], annotation_file)
    order = np.argsort(rows, kind="stable")
    order = order[good[order]]
    kept = [annotations[i] for i in order]
    crowd = np.array([bool(entry.get("iscrowd", 0)) for entry in kept], dtype=bool)
    counts = np.bincount(rows[order], minlength=len(image_ids))
    return Annotations(
        path=annotation_file,
        pictures=PictureFiles(image_dir, np.array(names, dtype=np.str_)),
        categories=categories,
        image_ids=np.array(image_ids, dtype=np.int64),
        sizes=sizes,
        boxes=boxes[order],
        labels=labels[order],
        crowd=crowd,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        polygons=_polygons(kept, annotation_file),
    )


def _load(path: Path, image_dir: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"annotation file {path} does not exist; check the data set's paths")
    if not image_dir.is_dir():
        raise UserError(f"image folder {image_dir} does not exist; check the data set's paths")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); give a COCO annotation file") from error
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path} lacks a list of objects '{key}'; give a COCO annotation file")
    return content


def _categories(entries: list[dict[str, Any]], path: Path) -> tuple[Category, ...]:
    ids = _unique_ids(entries, "category", path)
    return tuple(
        sorted(
            Category(i, str(entry.get("name", i))) for i, entry in zip(ids, entries, strict=True)
        )
    )


def _images(entries: list[dict[str, Any]], path: Path) -> tuple[list[int], list[str], np.ndarray]:
    if not entries:
        raise UserError(f"{path} lists no images; give an annotation file with pictures")
    ids = _unique_ids(entries, "image", path)
    for entry in entries:
        sides = (entry.get("height"), entry.get("width"))
        known = all(isinstance(side, int) and side > 0 for side in sides)
        if not known or not isinstance(entry.get("file_name"), str):
            raise UserError(
                f"image {entry['id']} of {path} lacks file_name, height or width; write all three"
            )
    sizes = np.array([(entry["height"], entry["width"]) for entry in entries], dtype=np.int32)
    return ids, [entry["file_name"] for entry in entries], sizes


def _unique_ids(entries: list[dict[str, Any]], kind: str, path: Path) -> list[int]:
    seen: dict[int, None] = {}
    for entry in entries:
        value = entry.get("id")
        if not isinstance(value, int):
            raise UserError(f"{path} has the {kind} id {value!r}; make it a whole number")
        if value in seen:
            raise UserError(f"{path} has the {kind} id {value} twice; make the ids unique")
        seen[value] = None
    return list(seen)


def _positions(
    annotations: list[dict[str, Any]], key: str, ids: Sequence[int], path: Path
) -> np.ndarray:
    position = {value: i for i, value in enumerate(ids)}
    found = np.empty(len(annotations), dtype=np.int64)
    for i, entry in enumerate(annotations):
        value = entry.get(key)
        if not isinstance(value, int) or value not in position:
            raise UserError(
                f"annotation {entry.get('id')} of {path} has the unknown {key} {value!r}; "
                "correct it or leave the annotation out"
            )
        found[i] = position[value]
    return found


def _boxes(
    annotations: list[dict[str, Any]], sizes: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Clipped xyxy boxes (M, 4) float32 and which of them are usable (M,) bool."""
    for entry in annotations:
        box = entry.get("bbox")
        numbers = isinstance(box, list) and all(isinstance(v, (int, float)) for v in box)
        if not numbers or len(entry["bbox"]) != 4:
            raise UserError(
                f"annotation {entry.get('id')} of {path} has the bbox {box!r}; give x, y, w, h"
            )
    boxes = np.array([entry["bbox"] for entry in annotations], dtype=np.float64).reshape(-1, 4)
    finite = np.all(np.isfinite(boxes), axis=1)
    boxes[~finite] = 0
    boxes[:, 2:] += boxes[:, :2]
    clipped = np.clip(boxes, 0, np.tile(sizes[:, ::-1], 2)).astype(np.float32)
    solid = np.all(clipped[:, 2:] > clipped[:, :2], axis=1)
    for faulty, fault in ((~finite, "are not finite"), (finite & ~solid, "have no area")):
        if count := int(faulty.sum()):
            share = f"{count:,} of {len(boxes):,}"
            logger.warning("%s boxes in %s %s and are left out", share, path, fault)
    return clipped, finite & solid


def _polygons(annotations: list[dict[str, Any]], path: Path) -> FlatPolygons:
    try:
        return pack_polygons(
            None if entry.get("iscrowd") else entry.get("segmentation") for entry in annotations
        )
    except TypeError as error:
        reason = f"{path} has a segmentation that is neither RLE nor lists of numbers ({error})"
        raise UserError(f"{reason}; correct it or leave it out") from error
