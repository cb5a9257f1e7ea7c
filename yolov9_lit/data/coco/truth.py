"""The annotations that detections are measured by, as pycocotools takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.judge import judge_annotations
from yolov9_lit.data.coco.records import load_records
from yolov9_lit.memory import no_garbage_collection

Truth = dict[str, list[Entry]]
"""The lists "images", "annotations" and "categories"."""


def truth_of(annotations: Annotations, boxes: np.ndarray, areas: np.ndarray) -> Truth:
    """Return what detections of annotations are measured by, without outlines.

    Annotations are numbered anew: ids may be missing or repeated, and 0 means "no match" to
    pycocotools.

    Args:
        annotations: M objects of N images.
        boxes: (M, 4) x, y, width and height as they were written, not clipped.
        areas: (M,) of the objects.
    """
    row = np.repeat(np.arange(len(annotations)), np.diff(annotations.offsets))
    return _truth(
        annotations.image_ids,
        dict(annotations.categories),
        (row, annotations.labels, boxes, areas, annotations.crowd),
    )


@no_garbage_collection()
def read_ground_truth(annotation_file: Path) -> Truth:
    """Read the same of a file without its images; its faults were told when it was judged first.

    Raises:
        UserError: the file does not exist or is no COCO JSON.
    """
    judged = judge_annotations(load_records(annotation_file))
    sound, ids = judged.sound, np.array([*judged.images], dtype=np.int64)
    return _truth(ids, judged.names, (sound.row, sound.label, sound.given, sound.area, sound.crowd))


def _truth(image_ids: np.ndarray, names: Mapping[int, str], objects: Sequence[np.ndarray]) -> Truth:
    """Return it of the ids of images, of classes by id, and of the objects' columns.

    These are the positions (M,) of image and class, boxes (M, 4), areas (M,) and whether (M,) an
    object is a crowd.
    """
    row, label, boxes, areas, crowd = objects
    columns = {
        "image_id": image_ids[row],
        "category_id": np.array([*names], dtype=np.int64)[label],
        "bbox": boxes,
        "area": areas,
        "iscrowd": crowd.astype(int),
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return {
        "images": [{"id": i} for i in image_ids.tolist()],
        "annotations": [
            {"id": i} | dict(zip(columns, row, strict=True)) for i, row in enumerate(rows, start=1)
        ],
        "categories": [{"id": i, "name": name} for i, name in names.items()],
    }
