"""The metric of a task of one's own: COCO's figures, and some of the extra numbers of objects."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.coco_columns import are_known
from yolov9_lit.evaluation.coco_figures import CocoResult
from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.evaluation.coco_task import Task
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.matches import Matches


class ExtraMetric(CocoMetric):
    """COCO's figures, and those that a subclass makes of the extra numbers of found objects.

    An object is found by the detection that COCO matches with it at an IoU of 0.5.
    """

    @abstractmethod
    def extra_figures(self, found: np.ndarray, true: np.ndarray) -> dict[str, float]:
        """Return figures by name.

        Args:
            found: (P, E) what the detections of P found objects tell, see `Head.decode_extra`; of
                shape (0, 0) where no object is found.
            true: (P, F) what is annotated, as `data.extra` names and orders it.
        """

    def measured(self, truth: Truth, found: Found) -> CocoResult:
        """Return COCO's figures and the subclass's."""
        result = super().measured(truth, found)
        return result._replace(extra=self.extra_figures(*pairs(truth, found)))


def pairs(truth: Truth, found: Found) -> tuple[np.ndarray, np.ndarray]:
    """Return the extra numbers of P detections that find an object, and of these objects.

    Args:
        truth: of the images of the detections and perhaps more.
        found: the detections.

    Raises:
        UserError: the detector gives no such numbers, or the data have none.
    """
    entries = truth["annotations"]
    if entries and "extra" not in entries[0]:
        raise UserError(
            "evaluation.metric compares extra numbers, but the data have none: give data.extra, "
            "the fields to read."
        )
    if found.extra is None:
        if len(found.scores):
            raise UserError(
                "evaluation.metric compares extra numbers, but the detector gives none: measure "
                "another detector, or give evaluation=coco."
            )
        return np.zeros((0, 0)), np.zeros((0, 0))
    task = Task.of(truth, found)
    evaluation = task.comparison()
    evaluation.evaluate()
    by = Matches.of(evaluation, len(task.rows), len(entries)).found_by
    true = np.array([entry["extra"] for entry in entries], dtype=float)
    return found.extra[are_known(found, truth)][by[by >= 0]], true[by >= 0]
