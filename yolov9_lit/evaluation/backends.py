"""What compares detections with the truth: hotcoco and pycocotools, which agree."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov9_lit.evaluation.coco_task import Task


class Curves(NamedTuple):
    """Precision and recall behind the figures; -1 where there is no object.

    The axes are 10 thresholds from 0.50, of IoU or of keypoints' similarity, 101 recalls from 0, K
    categories in the order of their ids, areas (all, small, medium, large; of keypoints not small),
    and limits of detections an image (1, 10, 100; of keypoints 20).

    Attributes:
        precision: (10, 101, K, areas, limits).
        recall: (10, K, areas, limits), the highest that is reached.
    """

    precision: np.ndarray
    recall: np.ndarray

    def average_precision(
        self, threshold: Any = slice(None), kind: Any = slice(None), area: int = 0
    ) -> float:
        """Return the mean precision, at the highest limit, of some thresholds and categories."""
        return _mean(self.precision[threshold, :, kind, area, -1])

    def average_recall(
        self,
        threshold: Any = slice(None),
        kind: Any = slice(None),
        area: int = 0,
        limit: int = -1,
    ) -> float:
        """Return the mean recall of some thresholds and categories."""
        return _mean(self.recall[threshold, kind, area, limit])


def _by_hotcoco(task: Task) -> Curves:
    evaluation = task.comparison()
    evaluation.evaluate()
    evaluation.accumulate()
    return _curves(evaluation)


def _by_pycocotools(task: Task) -> Curves:
    images, categories = task.entries()
    with contextlib.redirect_stdout(io.StringIO()):  # It prints.
        expected, given = COCO(), COCO()
        if task.masks:
            images = [image | {"height": 0, "width": 0} for image in images]  # Asked, not used.
        expected.dataset = {
            "images": images,
            "annotations": task.annotations(),
            "categories": categories,
        }
        given.dataset = {**expected.dataset, "annotations": []}
        expected.createIndex()
        if len(task.rows):
            given = expected.loadRes(task.results())
        else:
            given.createIndex()
        evaluation = COCOeval(expected, given, task.compared)
        evaluation.params.imgIds = task.images.tolist()
        if task.poses:
            evaluation.params.kpt_oks_sigmas = np.array(task.poses.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
    return _curves(evaluation)


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
