"""Annotation files in COCO format, read into flat arrays.

The format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.coco.checks import stated_size
from yolov9_lit.data.coco.file import CocoContent, Entry, load_coco, no_garbage_collection
from yolov9_lit.data.coco.problems import Problems
from yolov9_lit.data.coco.usable import UsableContent, usable_content
from yolov9_lit.data.images import ImageFiles
from yolov9_lit.data.polygons import BROKEN, FlatPolygons, pack_polygons


@no_garbage_collection()
def read_coco(annotation_file: Path, image_dir: Path, *, strict: bool = False) -> Annotations:
    """Reads a COCO annotation file; warns once of each kind of fault and goes on without it.

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
    problems = Problems(annotation_file)
    annotations = collect_coco(load_coco(annotation_file), annotation_file, image_dir, problems)
    problems.raise_or_warn(strict=strict)
    return annotations


def collect_coco(
    content: CocoContent, annotation_file: Path, image_dir: Path, problems: Problems
) -> Annotations:
    """The annotations that a file holds; adds what is wrong to `problems`; see `read_coco`."""
    usable = usable_content(content, annotation_file, image_dir, problems)
    annotations = flat_annotations(usable, annotation_file, image_dir, problems)
    return replace(annotations, faults=content.faults + Counter(annotations.faults))


def flat_annotations(
    usable: UsableContent, annotation_file: Path, image_dir: Path, problems: Problems
) -> Annotations:
    """Packs entries into arrays; broken outlines are left out and added to `problems`.

    Args:
        usable: of the file.
        annotation_file: that they come from.
        image_dir: the folder that the file names start from.
        problems: of the file so far.
    """
    names, by_id, entries, boxes = usable
    rows = _positions((entry["image_id"] for entry in entries), by_id)
    labels = _positions((entry["category_id"] for entry in entries), names)
    order = np.argsort(rows, kind="stable")
    kept = [entries[i] for i in order]
    images = by_id.values()
    return Annotations(
        path=annotation_file,
        images=ImageFiles(image_dir, np.array([e["file_name"] for e in images], dtype=np.str_)),
        categories=tuple(Category(i, name) for i, name in names.items()),
        image_ids=np.array(list(by_id), dtype=np.int64),
        sizes=np.array([stated_size(entry) for entry in images], dtype=np.int32),
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4)[order],
        labels=labels[order],
        crowd=np.array([bool(entry.get("iscrowd", 0)) for entry in kept], dtype=bool),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(images)))]),
        polygons=_polygons(kept, by_id, problems),
        faults=problems.counts(),
    )


def _positions(values: Iterable[int], ids: Iterable[int]) -> np.ndarray:
    position = {value: i for i, value in enumerate(ids)}
    return np.array([position[value] for value in values], dtype=np.int64)


def _polygons(
    entries: Sequence[Entry], images: Mapping[int, Entry], problems: Problems
) -> FlatPolygons:
    """Outlines of all but crowds."""
    outlines = [None if e.get("iscrowd") else e.get("segmentation") for e in entries]
    packed, faulty = pack_polygons(outlines)
    for i in faulty:
        problems.add(
            BROKEN,
            f"annotation {entries[i].get('id')}",
            images[entries[i]["image_id"]]["file_name"],
        )
    for outline in outlines:
        if isinstance(outline, dict):
            problems.notes[
                "objects have RLE masks: their boxes train, copy-paste needs outlines"
            ] += 1
    return packed
