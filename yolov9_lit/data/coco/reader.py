"""Annotation files in COCO format, read into flat arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.file import load_coco
from yolov9_lit.data.coco.image_entries import stated_size
from yolov9_lit.data.coco.judge import Judged, judge
from yolov9_lit.data.coco.outline_entries import Outlines
from yolov9_lit.data.images import ImageFiles
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.memory import no_garbage_collection


@no_garbage_collection()
def read_coco(annotation_file: Path, image_dir: Path, *, strict: bool = False) -> Annotations:
    """Read a COCO annotation file; warn once of each kind of fault and go on without it.

    Images that are missing or empty are left out with their boxes, boxes are clipped to their
    image. Whether an image can be decoded shows when it is read.

    Args:
        annotation_file: JSON.
        image_dir: the folder that its file names start from.
        strict: make any fault an error.

    Raises:
        UserError: the file or folder is missing, is no COCO JSON or has no image that can be
            used; or `strict`, and there is a fault: all are listed.
    """
    judged = judge(load_coco(annotation_file), image_dir)
    judged.faults.raise_or_warn(strict=strict)
    return pack(judged)


def pack(judged: Judged) -> Annotations:
    """Pack judged entries into arrays, grouped by image."""
    objects, rows = _by_image(judged)
    labels = _positions((item.entry["category_id"] for item in objects), judged.names)
    images = judged.images.values()
    names = np.array([entry["file_name"] for entry in images], dtype=np.str_)
    return Annotations(
        path=judged.path,
        images=ImageFiles(judged.folder, names),
        categories=tuple(Category(i, name) for i, name in judged.names.items()),
        image_ids=np.array(list(judged.images), dtype=np.int64),
        sizes=np.array([stated_size(entry) for entry in images], dtype=np.int32),
        boxes=np.array([item.box for item in objects], dtype=np.float32).reshape(-1, 4),
        labels=labels,
        crowd=np.array([item.crowd for item in objects], dtype=bool),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(images)))]),
        polygons=FlatPolygons.of_numbers(_outlines(item, judged) for item in objects),
        faults=judged.faults.counts(),
    )


def measures(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Return of the objects, in the order of `pack`, what else they are measured by.

    Returns:
        Boxes (M, 4), x, y, width and height as they were written, and areas (M,).
    """
    objects, _ = _by_image(judged)
    boxes = np.array([item.entry["bbox"] for item in objects], dtype=float).reshape(-1, 4)
    return boxes, np.array([item.area for item in objects], dtype=float)


def _outlines(item: SoundObject, judged: Judged) -> Outlines:
    """Return an object's outlines, those of its mask where that is what the file has."""
    if item.crowd or not isinstance(item.entry.get("segmentation"), dict):
        return item.outlines
    from yolov9_lit.data.coco.traced import traced_outlines  # Few files have run lengths.

    return traced_outlines(item, stated_size(judged.images[item.entry["image_id"]]))


def _by_image(judged: Judged) -> tuple[list[SoundObject], np.ndarray]:
    """Return the objects grouped by image, and the position of each one's image."""
    rows = _positions((item.entry["image_id"] for item in judged.objects), judged.images)
    order = np.argsort(rows, kind="stable")
    return [judged.objects[i] for i in order.tolist()], rows[order]


def _positions(values: Iterable[int], ids: Iterable[int]) -> np.ndarray:
    position = {value: i for i, value in enumerate(ids)}
    return np.array([position[value] for value in values], dtype=np.int64)
