"""The annotations that detections are measured by, as pycocotools takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import hotcoco.mask
import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.file import Entry, load_coco
from yolov9_lit.data.coco.image_entries import stated_size
from yolov9_lit.data.coco.judge import judge_annotations
from yolov9_lit.data.coco.mask_entries import sound_mask
from yolov9_lit.data.coco.records import load_records, values_of
from yolov9_lit.data.extra import ExtraFields
from yolov9_lit.memory import no_garbage_collection
from yolov9_lit.structures import KeypointLayout

log = logging.getLogger(__name__)

Truth = dict[str, list[Entry]]
"""The lists "images", "annotations" and "categories"."""

Sizes = Mapping[int, tuple[int, int]]
"""Heights and widths in pixels by an image's id."""


class ReadTruth(Protocol):
    """Gives a ground truth when it is called."""

    def __call__(self, *, masks: bool = False, keypoints: bool = False) -> Truth:
        """Return it, with what `add_masks` or `add_keypoints` adds where that is wanted."""
        ...


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
def read_ground_truth(
    annotation_file: Path,
    *,
    masks: bool = False,
    keypoints: KeypointLayout | None = None,
    extra: ExtraFields | None = None,
    sizes: Sizes | None = None,
) -> Truth:
    """Read the same of a file without its images; its faults were told when it was judged first.

    Args:
        annotation_file: JSON.
        masks: whether the annotations are to have their masks.
        keypoints: what those are that the annotations are to have, if any.
        extra: what the annotations are to have under "extra": a list of numbers.
        sizes: of images; of others those that the file states.

    Raises:
        UserError: the file does not exist or is no COCO JSON, or lacks what `extra` names.
    """
    judged = judge_annotations((load_coco if extra else load_records)(annotation_file))
    sound, ids = judged.sound, np.array([*judged.images], dtype=np.int64)
    columns = (sound.row, sound.label, sound.given, sound.area, sound.crowd)
    truth = _truth(ids, judged.names, columns)
    if masks:
        stated = {i: size for i, entry in judged.images.items() if (size := stated_size(entry))}
        given = values_of(
            judged.entries, "segmentation", sound.entry.tolist(), [True] * len(sound.entry)
        )
        add_masks(truth, given, stated | dict(sizes or {}), annotation_file)
    if keypoints:
        add_keypoints(truth, sound.keypoints, keypoints, annotation_file)
    if extra:
        values = extra.read(judged.sound_entries(), annotation_file).tolist()
        for entry, numbers in zip(truth["annotations"], values, strict=True):
            entry["extra"] = numbers
    return truth


def add_masks(truth: Truth, given: Iterable[object], sizes: Sizes, source: Path) -> None:
    """Give annotations their masks, as run lengths under "segmentation"; tell how many lack one.

    Args:
        truth: its annotations get masks where their image has a size, and they are sound and not
            empty.
        given: an outline or mask of each annotation, as in a file.
        sizes: of the images.
        source: the file, for the message.
    """
    bare = 0
    for entry, segmentation in zip(truth["annotations"], given, strict=True):
        size = sizes.get(entry["image_id"])
        if (mask := size and sound_mask(segmentation, size)) and hotcoco.mask.area(mask):
            entry["segmentation"] = mask
        else:
            bare += 1
    if bare:
        log.warning(
            "%d of the %d annotations in %s have no usable outline: in the figures of masks, what "
            "is found on their boxes counts neither as right nor as wrong",
            *(bare, len(truth["annotations"]), source),
        )


def add_keypoints(truth: Truth, points: np.ndarray, layout: KeypointLayout, source: Path) -> None:
    """Give annotations their keypoints, and categories the names and sigmas of these.

    Args:
        truth: of M annotations.
        points: (M, K, 3) x and y in pixels, and 0 (not annotated), 1 (hidden) or 2 (visible).
        layout: what the K are.
        source: the file, for the message.
    """
    counts = (points[..., 2] > 0).sum(axis=1)
    for entry, values, count in zip(truth["annotations"], points, counts.tolist(), strict=True):
        entry["keypoints"], entry["num_keypoints"] = values.ravel().tolist(), count
    for category in truth["categories"]:
        category["keypoints"], category["sigmas"] = [*layout.names], [*layout.sigmas]
    if bare := int((counts == 0).sum()):
        log.info(
            "%d of the %d annotations in %s have no keypoint: in the figures of keypoints, what is "
            "found on them counts neither as right nor as wrong",
            *(bare, len(counts), source),
        )


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
