"""The annotations that detections are measured by, as pycocotools takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.file import Entry, load_coco
from yolov9_lit.data.coco.image_entries import stated_size
from yolov9_lit.data.coco.judge import Judged, judge_annotations
from yolov9_lit.data.coco.mask_entries import sound_mask
from yolov9_lit.memory import no_garbage_collection

log = logging.getLogger(__name__)

Truth = dict[str, list[Entry]]
"""The lists "images", "annotations" and "categories"."""

Sizes = Mapping[int, tuple[int, int]]
"""Heights and widths in pixels by an image's id."""


class ReadTruth(Protocol):
    """Gives a ground truth when it is called."""

    def __call__(self, *, masks: bool = False) -> Truth:
        """Return it, its annotations with the masks of `add_masks` where these are wanted."""
        ...


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
def read_ground_truth(
    annotation_file: Path, *, masks: bool = False, sizes: Sizes | None = None
) -> Truth:
    """Read a COCO-format file without its images; its faults were told when it was judged first.

    Args:
        annotation_file: JSON.
        masks: whether the annotations are to have their masks.
        sizes: of images; of others those that the file states.

    Raises:
        UserError: the file does not exist or is no COCO JSON.
    """
    judged = judge_annotations(load_coco(annotation_file))
    truth = ground_truth(judged)
    if masks:
        stated = {i: size for i, entry in judged.images.items() if (size := stated_size(entry))}
        given = (item.entry.get("segmentation") for item in judged.objects)
        add_masks(truth, given, stated | dict(sizes or {}), annotation_file)
    return truth


def add_masks(truth: Truth, given: Iterable[object], sizes: Sizes, source: Path) -> None:
    """Give annotations their masks, as run lengths under "segmentation"; tell how many lack one.

    Args:
        truth: its annotations get masks where their image has a size and they are sound.
        given: an outline or mask of each annotation, as in a file.
        sizes: of the images.
        source: the file, for the message.
    """
    bare = 0
    for entry, segmentation in zip(truth["annotations"], given, strict=True):
        size = sizes.get(entry["image_id"])
        if mask := size and sound_mask(segmentation, size):
            entry["segmentation"] = mask
        else:
            bare += 1
    if bare:
        log.warning(
            "%d of the %d annotations in %s have no usable outline: in the figures of masks, what "
            "is found on their boxes counts neither as right nor as wrong",
            *(bare, len(truth["annotations"]), source),
        )


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
