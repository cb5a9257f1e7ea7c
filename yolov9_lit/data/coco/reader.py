"""Annotation files in COCO format, read into flat arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.coco.file import load_coco
from yolov9_lit.data.coco.judge import Judged, judge
from yolov9_lit.data.coco.records import load_records
from yolov9_lit.data.extra import Extra, ExtraFields
from yolov9_lit.data.images import ImageFiles
from yolov9_lit.memory import no_garbage_collection


@no_garbage_collection()
def read_coco(
    annotation_file: Path,
    image_dir: Path,
    *,
    strict: bool = False,
    extra: ExtraFields | None = None,
) -> Annotations:
    """Read a COCO annotation file; warn once of each kind of fault and go on without it.

    Images that are missing or empty are left out with their boxes, boxes are clipped to their
    image. Whether an image can be decoded shows when it is read.

    Args:
        annotation_file: JSON.
        image_dir: the folder that its file names start from.
        strict: make any fault an error.
        extra: what to read of the objects besides.

    Raises:
        UserError: the file or folder is missing, is no COCO JSON or has no image that can be
            used; or `strict`, and there is a fault: all are listed; or an object lacks what `extra`
            names.
    """
    load = load_coco if extra else load_records  # Records have the usual fields only.
    judged = judge(load(annotation_file), image_dir)
    judged.faults.raise_or_warn(strict=strict)
    if extra is None:
        return pack(judged)
    values = extra.read(judged.sound_entries(), annotation_file)
    return replace(pack(judged), extra=Extra(values, extra))


def pack(judged: Judged) -> Annotations:
    """Pack judged entries into arrays, grouped by image."""
    sound, images = judged.sound, judged.images
    names = np.array([entry["file_name"] for entry in images.values()], dtype=np.str_)
    return Annotations(
        path=judged.path,
        images=ImageFiles(judged.folder, names),
        categories=tuple(Category(i, name) for i, name in judged.names.items()),
        image_ids=np.array([*images], dtype=np.int64),
        sizes=judged.sizes.astype(np.int32),
        boxes=sound.corners.astype(np.float32),
        labels=sound.label,
        crowd=sound.crowd,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(sound.row, minlength=len(images)))]),
        polygons=sound.polygons,
        keypoints=sound.keypoints.astype(np.float32),
        layout=judged.keypoints,
        faults=judged.faults.counts(),
    )
