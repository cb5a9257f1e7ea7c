"""The annotations that detections are measured by."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from yolov9_lit.data.coco.checks import (
    is_id,
    is_number,
    usable_annotations,
    usable_categories,
)
from yolov9_lit.data.coco.file import load_coco
from yolov9_lit.data.coco.problems import Problems


def read_ground_truth(annotation_file: Path) -> dict[str, Any]:
    """What is usable of a COCO-format file, completed by the keys that smaller data sets leave out.

    Boxes stay as they were written, not clipped. Annotations are numbered anew: ids may be missing
    or repeated, and 0 means "no match" to pycocotools. What is left out was told when the data set
    was read.
    """
    content, problems = load_coco(annotation_file), Problems(annotation_file)
    images = [entry for entry in content.images if is_id(entry.get("id"))]
    names = usable_categories(content.categories, problems)
    by_id = {entry["id"]: entry for entry in images}
    annotations, _ = usable_annotations(content.annotations, by_id, (), names, problems)
    for i, annotation in enumerate(annotations, start=1):
        annotation["id"] = i
        annotation["iscrowd"] = int(bool(annotation.get("iscrowd")))
        if not is_number(area := annotation.get("area")) or not math.isfinite(area):
            annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in names.items()],
    }
