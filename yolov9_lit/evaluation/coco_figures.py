"""COCO's figures of a set of detections, by hotcoco or by pycocotools, which agree."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.truth import Truth
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


class Found(NamedTuple):
    """N detections in the images that were evaluated.

    Attributes:
        images: ids of the images, int64, each once.
        image_ids: (N,) int64.
        boxes: (N, 4), x, y, width and height in pixels.
        scores: (N,).
        category_ids: (N,) int64.
    """

    images: np.ndarray
    image_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    category_ids: np.ndarray


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
    images, categories = _numbers(truth["images"]), _numbers(truth["categories"])
    known = np.isin(found.category_ids, list(categories))
    rows = np.column_stack(
        [
            _in_place_of(found.image_ids[known], images),
            found.boxes[known],
            found.scores[known],
            _in_place_of(found.category_ids[known], categories),
        ]
    )
    shown = _in_place_of(found.images, images)
    numbered = _numbered(truth, images, categories)
    curves = BACKENDS[backend](numbered, rows.astype(float), shown.tolist())
    here = set(shown.tolist())
    objects = Counter(
        entry["category_id"]
        for entry in numbered["annotations"]
        if entry["image_id"] in here and not entry["iscrowd"]
    )
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
        num_images=len(shown),
        per_class=tuple(
            ClassResult(
                category_id=category_id,
                name=names[category_id],
                objects=objects[number],
                AP=curves.average_precision(kind=number - 1),
                AP50=curves.average_precision(0, number - 1),
                AR_100=curves.average_recall(number - 1),
            )
            for category_id, number in categories.items()
        ),
    )


def _by_hotcoco(truth: Truth, rows: np.ndarray, images: list[int]) -> Curves:
    expected = hotcoco.COCO(truth)
    evaluation = hotcoco.COCOeval(expected, expected.load_res(rows), "bbox")
    evaluation.params.img_ids = images
    evaluation.evaluate()
    evaluation.accumulate()
    return _curves(evaluation)


def _by_pycocotools(truth: Truth, rows: np.ndarray, images: list[int]) -> Curves:
    with contextlib.redirect_stdout(io.StringIO()):  # It prints.
        expected, given = COCO(), COCO()
        expected.dataset, given.dataset = truth, {**truth, "annotations": []}
        expected.createIndex()
        if len(rows):
            given = expected.loadRes(rows)
        else:
            given.createIndex()
        evaluation = COCOeval(expected, given, "bbox")
        evaluation.params.imgIds = images
        evaluation.evaluate()
        evaluation.accumulate()
    return _curves(evaluation)


BACKENDS: dict[str, Callable[[Truth, np.ndarray, list[int]], Curves]] = {
    "hotcoco": _by_hotcoco,
    "pycocotools": _by_pycocotools,
}
"""Compare rows (image, x, y, width, height, score, category) with the truth on some images."""


def _curves(evaluation: Any) -> Curves:
    return Curves(*(np.asarray(evaluation.eval[name]) for name in Curves._fields))


def _numbers(entries: list[Entry]) -> dict[int, int]:
    """Return numbers from 1 by id, in their order: the backends keep ids in floats."""
    return {value: i for i, value in enumerate(sorted(entry["id"] for entry in entries), start=1)}


def _in_place_of(ids: np.ndarray, numbers: dict[int, int]) -> np.ndarray:
    """Return the numbers of ids, all of which have one."""
    return np.searchsorted(np.fromiter(numbers, np.int64, len(numbers)), ids) + 1


def _numbered(truth: Truth, images: dict[int, int], categories: dict[int, int]) -> Truth:
    """Return the truth with numbers in place of ids."""
    return {
        "images": [entry | {"id": images[entry["id"]]} for entry in truth["images"]],
        "annotations": [
            entry
            | {
                "image_id": images[entry["image_id"]],
                "category_id": categories[entry["category_id"]],
            }
            for entry in truth["annotations"]
        ],
        "categories": [entry | {"id": categories[entry["id"]]} for entry in truth["categories"]],
    }


def _mean(values: np.ndarray) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else -1.0
