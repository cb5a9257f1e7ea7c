"""COCO's figures of a set of detections, by hotcoco or by pycocotools, which agree."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.mask_entries import RLE
from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.coco_task import Task
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.metric import MASK, ClassResult


class CocoResult(NamedTuple):
    """What pycocotools prints, as fractions; -1 where nothing could be measured.

    `masks` is what it prints of these, None where the detector finds none.
    """

    AP: float
    AP50: float
    AP75: float
    AP_s: float
    AP_m: float
    AP_l: float
    AR_1: float
    AR_10: float
    AR_100: float
    AR_s: float
    AR_m: float
    AR_l: float
    num_images: int
    per_class: tuple[ClassResult, ...]
    masks: CocoResult | None = None

    def beside(self, masks: CocoResult) -> CocoResult:
        """Return these figures, which are of boxes, with those of masks, by class too."""
        both = (
            box._replace(mask_AP=mask.AP, mask_AP50=mask.AP50, mask_AR_100=mask.AR_100)
            for box, mask in zip(self.per_class, masks.per_class, strict=True)
        )
        return self._replace(per_class=tuple(both), masks=masks)

    def figures(self) -> dict[str, float]:
        """Return the twelve by name, and those of masks by "mask_" and the name."""
        boxes = {name: getattr(self, name) for name in FIGURES}
        if self.masks is None:
            return boxes
        return boxes | {f"{MASK}{name}": value for name, value in self.masks.figures().items()}


FIGURES = CocoResult._fields[:12]


class Curves(NamedTuple):
    """Precision and recall behind the figures; -1 where there is no object.

    The axes are 10 IoU thresholds from 0.50, 101 recalls from 0, K categories in the order of their
    ids, areas (all, small, medium, large), and limits of detections an image (1, 10, 100).

    Attributes:
        precision: (10, 101, K, 4, 3).
        recall: (10, K, 4, 3), the highest that is reached.
    """

    precision: np.ndarray
    recall: np.ndarray

    def average_precision(
        self, iou: Any = slice(None), kind: Any = slice(None), area: int = 0
    ) -> float:
        """Return the mean precision, with 100 detections an image, of some IoUs and categories."""
        return _mean(self.precision[iou, :, kind, area, 2])

    def average_recall(self, kind: Any = slice(None), area: int = 0, limit: int = 2) -> float:
        """Return the mean recall of some categories."""
        return _mean(self.recall[:, kind, area, limit])


def evaluate(truth: Truth, found: Found, backend: str) -> CocoResult:
    """Compare detections with the objects of their images.

    Args:
        truth: of these and perhaps more images.
        found: the detections; those of a category that the truth lacks count nowhere.
        backend: a name in `BACKENDS`.
    """
    names = {entry["id"]: entry["name"] for entry in truth["categories"]}
    boxes = _measure(Task.of(truth, found), names, backend)
    if found.masks is None:
        return boxes
    return boxes.beside(_measure(Task.of_masks(truth, found), names, backend))


def _measure(task: Task, names: Mapping[int, str], backend: str) -> CocoResult:
    return figures_of(task, BACKENDS[backend](task), names)


def figures_of(task: Task, curves: Curves, names: Mapping[int, str]) -> CocoResult:
    """Return the figures of boxes or masks.

    Args:
        task: what was compared.
        curves: what came of it.
        names: of the categories by id.
    """
    measured = np.isin(task.objects.images, task.images) & ~task.objects.crowd
    counts = np.bincount(task.objects.categories[measured], minlength=task.categories + 1)
    return CocoResult(
        AP=curves.average_precision(),
        AP50=curves.average_precision(0),
        AP75=curves.average_precision(5),
        AP_s=curves.average_precision(area=1),
        AP_m=curves.average_precision(area=2),
        AP_l=curves.average_precision(area=3),
        AR_1=curves.average_recall(limit=0),
        AR_10=curves.average_recall(limit=1),
        AR_100=curves.average_recall(),
        AR_s=curves.average_recall(area=1),
        AR_m=curves.average_recall(area=2),
        AR_l=curves.average_recall(area=3),
        num_images=len(task.images),
        per_class=tuple(
            ClassResult(
                category_id=category_id,
                name=names[category_id],
                objects=int(counts[number]),
                AP=curves.average_precision(kind=number - 1),
                AP50=curves.average_precision(0, number - 1),
                AR_100=curves.average_recall(number - 1),
            )
            for number, category_id in enumerate(sorted(names), start=1)
        ),
    )


def _by_hotcoco(task: Task) -> Curves:
    evaluation = task.comparison()
    evaluation.evaluate()
    evaluation.accumulate()
    return _curves(evaluation)


def _by_pycocotools(task: Task) -> Curves:
    images, categories = task.entries()
    keys = ("image_id", "category_id", "bbox", "area", "iscrowd")
    columns = zip(*(column.tolist() for column in task.objects), strict=True)
    entries = [
        {"id": i} | dict(zip(keys, row, strict=True)) for i, row in enumerate(columns, start=1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # It prints.
        expected, given = COCO(), COCO()
        if task.masks:
            images = [image | {"height": 0, "width": 0} for image in images]  # Asked, not used.
            _add_masks(entries, task.masks.objects)
        expected.dataset = {"images": images, "annotations": entries, "categories": categories}
        given.dataset = {**expected.dataset, "annotations": []}
        expected.createIndex()
        if len(task.rows):
            found = expected.loadNumpyAnnotations(task.rows)
            if task.masks:
                _add_masks(found, task.masks.found)
            given = expected.loadRes(found)
        else:
            given.createIndex()
        evaluation = COCOeval(expected, given, task.compared)
        evaluation.params.imgIds = task.images.tolist()
        evaluation.evaluate()
        evaluation.accumulate()
    return _curves(evaluation)


def _add_masks(entries: list[Entry], masks: list[RLE]) -> None:
    for entry, mask in zip(entries, masks, strict=True):
        entry["segmentation"] = mask


BACKENDS: dict[str, Callable[[Task], Curves]] = {
    "hotcoco": _by_hotcoco,
    "pycocotools": _by_pycocotools,
}
"""Compare detections with the truth on some images."""


def _curves(evaluation: Any) -> Curves:
    return Curves(*(np.asarray(evaluation.eval[name]) for name in Curves._fields))


def _mean(values: np.ndarray) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else -1.0
