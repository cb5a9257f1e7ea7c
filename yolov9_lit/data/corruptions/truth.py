"""The ground truth of images whose pixels a corruption has moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import hotcoco.mask
import numpy as np

from yolov9_lit.data.annotations import Annotations, ImageObjects
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.data.corruptions.corruption import Corruption
from yolov9_lit.data.corruptions.warp import Warp
from yolov9_lit.data.extra import Extra
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.polygons import FlatPolygons

_SAME = 0.01  # Pixels by which two copies of a box may differ.


def moved_truth(truth: Truth, annotations: Annotations, corruption: Corruption) -> Truth:
    """Return what detections on the corrupted images are measured by.

    Boxes, masks and keypoints go where the pixels go, see `Warp.objects`; an area grows as its box
    does. What has left its image is left out.

    Args:
        truth: of the images as they are; it stays.
        annotations: of the same images.
        corruption: that moves pixels.
    """
    by_image: dict[int, list[Entry]] = defaultdict(list)
    for entry in truth["annotations"]:
        by_image[entry["image_id"]].append(entry)
    moved: list[Entry] = []
    for index, image_id in enumerate(annotations.image_ids.tolist()):
        if entries := by_image.pop(image_id, []):
            height, width = annotations.sizes[index].tolist()
            warp = corruption.warp(height, width, image_id)
            moved += _moved(entries, annotations.objects(index), warp)
    unused = [entry for entries in by_image.values() for entry in entries]  # Without a file.
    return truth | {"annotations": moved + unused}


def _moved(entries: Sequence[Entry], known: ImageObjects, warp: Warp) -> list[Entry]:
    """Return an image's entries moved."""
    before = np.array([entry["bbox"] for entry in entries], dtype=np.float64)
    corners = np.concatenate((before[:, :2], before[:, :2] + before[:, 2:]), axis=1)
    keypoints = [entry.get("keypoints", ()) for entry in entries]
    values = np.array(keypoints, dtype=np.float32).reshape(len(entries), -1, 3)
    objects = ImageObjects(
        boxes=corners,
        labels=np.zeros(len(entries), dtype=np.int64),
        crowd=np.zeros(len(entries), dtype=bool),
        polygons=_outlines(corners, known, warp.size),
        keypoints=Keypoints(values, np.arange(values.shape[1])),
        extra=Extra.none(len(entries)),
    )
    after = warp.objects(objects)
    sides = after.boxes[:, 2:].astype(float) - after.boxes[:, :2]
    growth = sides.prod(axis=1) / np.maximum(before[:, 2:].prod(axis=1), 1e-9)
    found = []
    for i, entry in enumerate(entries):
        if (sides[i] <= 0).any():
            continue
        changed = {
            "bbox": [*after.boxes[i, :2].tolist(), *sides[i].tolist()],
            "area": entry["area"] * float(growth[i]),
        }
        if "segmentation" in entry:
            mask = hotcoco.mask.decode(entry["segmentation"])
            changed["segmentation"] = hotcoco.mask.encode(np.asfortranarray(warp.mask(mask)))
        if "keypoints" in entry:
            points = after.keypoints.values[i]
            changed["keypoints"] = points.ravel().tolist()
            changed["num_keypoints"] = int((points[:, 2] > 0).sum())
        found.append(entry | changed)
    return found


def _outlines(corners: np.ndarray, known: ImageObjects, size: tuple[int, int]) -> FlatPolygons:
    """Return the outlines of boxes (M, 4) xyxy as they were written, where one is known."""
    height, width = size
    inside = np.clip(corners, 0, [width, height, width, height])
    apart = np.abs(inside[:, None] - known.boxes[None]).max(axis=2, initial=0.0)
    return FlatPolygons.pack(
        known.polygons[int(row.argmin())] if row.size and row.min() < _SAME else () for row in apart
    )
