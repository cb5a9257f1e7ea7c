"""The annotations that detections are measured by, as pycocotools takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.file import Entry, load_coco
from yolov9_lit.data.coco.judge import Judged, judge_annotations
from yolov9_lit.memory import no_garbage_collection

Truth = dict[str, list[Entry]]
"""The lists "images", "annotations" and "categories"."""


def ground_truth(judged: Judged) -> Truth:
    """Return judged entries with what smaller data sets leave out, and without outlines.

    Boxes stay as they were written, not clipped. Annotations are numbered anew: ids may be missing
    or repeated, and 0 means "no match" to pycocotools.
    """
    return {
        "images": [*judged.images.values()],
        "annotations": [_measured(item, i) for i, item in enumerate(judged.objects, start=1)],
        "categories": judged.categories,
    }


def truth_of(annotations: Annotations, boxes: np.ndarray, areas: np.ndarray) -> Truth:
    """Return the same of annotations, with the `boxes` and `areas` that `measures` gives."""
    images = zip(annotations.image_ids.tolist(), annotations.sizes.tolist(), strict=True)
    ids = np.array([category.id for category in annotations.categories], dtype=np.int64)
    columns = {
        "image_id": np.repeat(annotations.image_ids, np.diff(annotations.offsets)),
        "category_id": ids[annotations.labels],
        "bbox": boxes,
        "area": areas,
        "iscrowd": annotations.crowd.astype(int),
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return {
        "images": [{"id": i, "height": size[0], "width": size[1]} for i, size in images],
        "annotations": [
            {"id": i} | dict(zip(columns, row, strict=True)) for i, row in enumerate(rows, start=1)
        ],
        "categories": [{"id": c.id, "name": c.name} for c in annotations.categories],
    }


@no_garbage_collection()
def read_ground_truth(annotation_file: Path) -> Truth:
    """Read a COCO-format file without its images; its faults were told when it was judged first.

    Raises:
        UserError: the file does not exist or is no COCO JSON.
    """
    return ground_truth(judge_annotations(load_coco(annotation_file)))


def _measured(item: SoundObject, number: int) -> Entry:
    entry = item.entry
    return {
        "id": number,
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "bbox": entry["bbox"],
        "area": item.area,
        "iscrowd": int(item.crowd),
    }
