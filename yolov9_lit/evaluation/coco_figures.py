"""COCO's figures of a set of detections: of boxes, masks and keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.backends import BACKENDS, Curves
from yolov9_lit.evaluation.coco_task import Task
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.metric import MASK, POSE, ClassResult


class KeypointResult(NamedTuple):
    """What pycocotools prints of keypoints, as fractions; -1 where nothing could be measured.

    The thresholds are of object keypoint similarity, with 20 detections an image.
    """

    AP: float
    AP50: float
    AP75: float
    AP_m: float
    AP_l: float
    AR: float
    AR50: float
    AR75: float
    AR_m: float
    AR_l: float


class CocoResult(NamedTuple):
    """What pycocotools prints, as fractions; -1 where nothing could be measured.

    `masks` and `keypoints` are what it prints of these, None where the detector finds none; `extra`
    are figures of a metric of one's own.
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
    keypoints: KeypointResult | None = None
    extra: Mapping[str, float] | None = None

    def beside(self, masks: CocoResult) -> CocoResult:
        """Return these figures, which are of boxes, with those of masks, by class too."""
        both = (
            box._replace(mask_AP=mask.AP, mask_AP50=mask.AP50, mask_AR_100=mask.AR_100)
            for box, mask in zip(self.per_class, masks.per_class, strict=True)
        )
        return self._replace(per_class=tuple(both), masks=masks)

    def with_keypoints(self, curves: Curves) -> CocoResult:
        """Return these figures, which are of boxes, with those of keypoints, by class too."""
        keypoints = KeypointResult(
            AP=curves.average_precision(),
            AP50=curves.average_precision(0),
            AP75=curves.average_precision(5),
            AP_m=curves.average_precision(area=1),
            AP_l=curves.average_precision(area=2),
            AR=curves.average_recall(),
            AR50=curves.average_recall(0),
            AR75=curves.average_recall(5),
            AR_m=curves.average_recall(area=1),
            AR_l=curves.average_recall(area=2),
        )
        per_class = (
            row._replace(
                pose_AP=curves.average_precision(kind=number),
                pose_AP50=curves.average_precision(0, number),
                pose_AR=curves.average_recall(kind=number),
            )
            for number, row in enumerate(self.per_class)
        )
        return self._replace(per_class=tuple(per_class), keypoints=keypoints)

    def figures(self) -> dict[str, float]:
        """Return the twelve by name, masks' by "mask_" and the name, keypoints' by "pose_".

        Then come those of `extra` by their own.
        """
        found = {name: getattr(self, name) for name in FIGURES}
        if self.masks is not None:
            found |= {f"{MASK}{name}": value for name, value in self.masks.figures().items()}
        if self.keypoints is not None:
            found |= {f"{POSE}{name}": value for name, value in self.keypoints._asdict().items()}
        return found | dict(self.extra or {})


FIGURES = CocoResult._fields[:12]


def evaluate(truth: Truth, found: Found, backend: str) -> CocoResult:
    """Compare detections with the objects of their images.

    Args:
        truth: of these and perhaps more images.
        found: the detections; those of a category that the truth lacks count nowhere.
        backend: a name in `BACKENDS`.
    """
    names = {entry["id"]: entry["name"] for entry in truth["categories"]}
    result = _measure(Task.of(truth, found), names, backend)
    if found.masks is not None:
        result = result.beside(_measure(Task.of_masks(truth, found), names, backend))
    if found.keypoints is not None:
        result = result.with_keypoints(BACKENDS[backend](Task.of_keypoints(truth, found)))
    return result


def _measure(task: Task, names: Mapping[int, str], backend: str) -> CocoResult:
    return figures_of(task, BACKENDS[backend](task), names)


def figures_of(task: Task, curves: Curves, names: Mapping[int, str]) -> CocoResult:
    """Return the figures of boxes or masks.

    Args:
        task: what was compared.
        curves: what came of it.
        names: of the categories by id.
    """
    found = task.objects.categories[task.measured]
    counts = np.bincount(found, minlength=task.categories + 1)
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
                AR_100=curves.average_recall(kind=number - 1),
            )
            for number, category_id in enumerate(sorted(names), start=1)
        ),
    )
