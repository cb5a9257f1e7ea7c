"""The annotations that detections are measured by, as pycocotools takes them."""

from __future__ import annotations

from pathlib import Path

from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.file import Entry, load_coco, no_garbage_collection
from yolov9_lit.data.coco.judge import Judged, judge_annotations

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
