"""COCO's figures of a set of detections, by hotcoco or by pycocotools, which agree."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.metric import ClassResult


class CocoResult(NamedTuple):
    """What pycocotools prints, as fractions; -1 where nothing could be measured."""

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

    def figures(self) -> dict[str, float]:
        """Return the twelve by name."""
        return {name: getattr(self, name) for name in FIGURES}


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


class Objects(NamedTuple):
    """The M objects of a ground truth, in columns.

    Attributes:
        images: (M,) numbers of their images.
        categories: (M,) numbers.
        boxes: (M, 4), x, y, width and height in pixels.
        areas: (M,) in square pixels.
        crowd: (M,) bool, regions of many objects.
    """

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray

    @classmethod
    def of(cls, entries: list[Entry], images: np.ndarray, categories: np.ndarray) -> Objects:
        """Take entries of `annotations`, given the ids that are numbered."""

        def column(key: str, kind: type) -> np.ndarray:
            return np.array([entry[key] for entry in entries], dtype=kind)

        return cls(
            _numbers(column("image_id", np.int64), images),
            _numbers(column("category_id", np.int64), categories),
            column("bbox", float).reshape(-1, 4),
            column("area", float),
            column("iscrowd", bool),
        )


class Task(NamedTuple):
    """What a backend compares; images and categories are numbered from 1 in the order of their ids.

    The backends keep ids in floats, which cannot hold all of them.

    Attributes:
        images: (I,) numbers of those that are measured.
        categories: how many there are.
        objects: the truth, of these and perhaps more images.
        rows: (N, 7) detections: image, x, y, width, height, score, category.
    """

    images: np.ndarray
    categories: int
    objects: Objects
    rows: np.ndarray


def evaluate(truth: Truth, found: Found, backend: str) -> CocoResult:
    """Compare detections with the objects of their images.

    Args:
        truth: of these and perhaps more images.
        found: the detections; those of a category that the truth lacks count nowhere.
        backend: a name in `BACKENDS`.
    """
    images, categories = _ids(truth["images"]), _ids(truth["categories"])
    known = np.isin(found.category_ids, categories)
    task = Task(
        images=_numbers(found.images, images),
        categories=len(categories),
        objects=Objects.of(truth["annotations"], images, categories),
        rows=np.column_stack(
            [
                _numbers(found.image_ids[known], images),
                found.boxes[known],
                found.scores[known],
                _numbers(found.category_ids[known], categories),
            ]
        ),
    )
    curves = BACKENDS[backend](task)
    measured = np.isin(task.objects.images, task.images) & ~task.objects.crowd
    counts = np.bincount(task.objects.categories[measured], minlength=len(categories) + 1)
    names = {entry["id"]: entry["name"] for entry in truth["categories"]}
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
            for number, category_id in enumerate(categories.tolist(), start=1)
        ),
    )


def _by_hotcoco(task: Task) -> Curves:
    objects = task.objects
    expected = hotcoco.COCO.from_arrays(
        *_entries(task),
        objects.images,
        objects.categories,
        objects.boxes,
        area=objects.areas,
        iscrowd=objects.crowd,
    )
    evaluation = hotcoco.COCOeval(expected, expected.load_res(task.rows), "bbox")
    evaluation.params.img_ids = task.images.tolist()
    evaluation.evaluate()
    evaluation.accumulate()
    return _curves(evaluation)


def _by_pycocotools(task: Task) -> Curves:
    images, categories = _entries(task)
    keys = ("image_id", "category_id", "bbox", "area", "iscrowd")
    columns = zip(*(column.tolist() for column in task.objects), strict=True)
    entries = [
        {"id": i} | dict(zip(keys, row, strict=True)) for i, row in enumerate(columns, start=1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # It prints.
        expected, given = COCO(), COCO()
        expected.dataset = {"images": images, "annotations": entries, "categories": categories}
        given.dataset = {**expected.dataset, "annotations": []}
        expected.createIndex()
        if len(task.rows):
            given = expected.loadRes(task.rows)
        else:
            given.createIndex()
        evaluation = COCOeval(expected, given, "bbox")
        evaluation.params.imgIds = task.images.tolist()
        evaluation.evaluate()
        evaluation.accumulate()
    return _curves(evaluation)


BACKENDS: dict[str, Callable[[Task], Curves]] = {
    "hotcoco": _by_hotcoco,
    "pycocotools": _by_pycocotools,
}
"""Compare detections with the truth on some images."""


def _entries(task: Task) -> tuple[list[Entry], list[Entry]]:
    """Return the entries of `images` and `categories` that the backends ask for."""
    images = np.union1d(task.images, task.objects.images)
    categories = range(1, task.categories + 1)
    return [{"id": i} for i in images.tolist()], [{"id": i, "name": str(i)} for i in categories]


def _curves(evaluation: Any) -> Curves:
    return Curves(*(np.asarray(evaluation.eval[name]) for name in Curves._fields))


def _ids(entries: list[Entry]) -> np.ndarray:
    """Return the ids in their order, int64."""
    return np.array(sorted(entry["id"] for entry in entries), dtype=np.int64)


def _numbers(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return numbers from 1 in place of ids, all of which are there."""
    return np.searchsorted(ids, values) + 1


def _mean(values: np.ndarray) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else -1.0
