"""How much detections and objects of an image overlap, whatever their classes are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pycocotools.mask import iou

from yolov9_lit.evaluation.coco_task import Task


class Overlaps(NamedTuple):
    """The largest overlaps in each image, whatever the classes are.

    Attributes:
        nearest: (N,) the object, not a crowd, that each detection overlaps most; -1 for none.
        iou: (N,) its IoU with that; 0 for none.
        in_crowd: (N,) the largest share of the detection's area that lies in one crowd.
        best: (M,) IoU of each object with the detection that overlaps it most.
    """

    nearest: np.ndarray
    iou: np.ndarray
    in_crowd: np.ndarray
    best: np.ndarray


def overlaps_of(task: Task) -> Overlaps:
    """Compare all N detections with all M objects of their image, by masks where these are there.

    Of a crowd it is told how much of a detection lies in it, and it is nearest to none.
    """
    objects, images = task.objects, task.rows[:, 0].astype(np.int64)
    nearest = np.full(len(images), -1)
    overlap, in_crowd = np.zeros(len(images)), np.zeros(len(images))
    best = np.zeros(len(objects.images))
    rows, items = by_image(images), by_image(objects.images)
    for image in rows.keys() & items.keys():
        mine, theirs = rows[image], items[image]
        crowd = objects.crowd[theirs]
        found: Any = iou(*_shapes(task, mine, theirs), crowd.astype(np.uint8).tolist())
        in_crowd[mine] = found[:, crowd].max(axis=1, initial=0)
        single, ious = theirs[~crowd], found[:, ~crowd]
        if len(single):
            overlap[mine] = ious.max(axis=1)
            nearest[mine] = np.where(overlap[mine] > 0, single[ious.argmax(axis=1)], -1)
            best[single] = ious.max(axis=0)
    return Overlaps(nearest, overlap, in_crowd, best)


def _shapes(task: Task, rows: np.ndarray, items: np.ndarray) -> tuple[Any, Any]:
    """Return the masks, or else the boxes, of some detections and objects of one image."""
    if task.masks:
        return [task.masks.found[i] for i in rows], [task.masks.objects[i] for i in items]
    return np.ascontiguousarray(task.rows[rows, 1:5]), task.objects.boxes[items]


def by_image(images: np.ndarray) -> dict[int, np.ndarray]:
    """Return the positions of each image's rows."""
    order = np.argsort(images, kind="stable")
    numbers, starts = np.unique(images[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=False))
