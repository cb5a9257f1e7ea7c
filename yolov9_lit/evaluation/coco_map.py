"""COCO's twelve figures as a torchmetrics Metric, on the data set's own annotations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.coco_figures import BACKENDS, CocoResult, evaluate
from yolov9_lit.evaluation.found import BOX_DECIMALS, SCORE_DECIMALS, Found
from yolov9_lit.evaluation.metric import DetectionMetric
from yolov9_lit.structures import Detections

STATES = {
    "seen": (torch.int64, ()),
    "counts": (torch.int64, ()),
    "boxes": (torch.float32, (4,)),
    "scores": (torch.float32, ()),
    "labels": (torch.int64, ()),
}
"""Type and row shape of each state."""


class CocoMetric(DetectionMetric):
    """Collect detections over all processes; rank 0 evaluates, all ranks get the result.

    Only images that were given are evaluated, and an image given twice (as samplers do to even out
    ranks) counts once. Equal to pycocotools, whose re-implementation hotcoco is the default.
    """

    full_state_update = False
    seen: list[Tensor]
    counts: list[Tensor]
    boxes: list[Tensor]
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(
        self,
        truth: Callable[[], Truth],
        category_ids: Sequence[int],
        backend: Literal["hotcoco", "pycocotools"] = "hotcoco",
    ) -> None:
        """Set the parts.

        Args:
            truth: gives the ground truth; called on rank 0, when the figures are computed.
            category_ids: the data set's id of each class index.
            backend: the library that evaluates.

        Raises:
            UserError: there is no such backend.
        """
        super().__init__()
        if backend not in BACKENDS:
            raise UserError(f"There is no backend={backend}: choose from {', '.join(BACKENDS)}.")
        self.truth = truth
        self.category_ids = tuple(int(i) for i in category_ids)
        self.backend = backend
        # One row an image (its id and number of detections) and one a detection, in the same order.
        for state in STATES:
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, detections: Sequence[Detections], image_ids: Sequence[int]) -> None:
        """Add images; see `DetectionMetric`."""
        counts = [len(d.scores) for d in detections]
        self.seen.append(torch.tensor(image_ids, dtype=torch.int64, device=self.device))
        self.counts.append(torch.tensor(counts, dtype=torch.int64, device=self.device))
        for d in detections:
            self.boxes.append(d.boxes.float())
            self.scores.append(d.scores.float())
            self.labels.append(d.labels)

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all ranks; one without images takes part with empty tensors."""
        for state in STATES:
            rows = getattr(self, state)
            if not rows:
                rows.append(self._column(state))
        super().sync(*args, **kwargs)

    def _column(self, state: str) -> Tensor:
        """Return one state as a tensor, gathered or not."""
        rows = getattr(self, state)
        if isinstance(rows, Tensor):
            return rows
        if rows:
            return torch.cat(rows)
        return torch.zeros((0, *STATES[state][1]), dtype=STATES[state][0], device=self.device)

    def compute(self) -> CocoResult:
        """Evaluate everything given so far; an error on rank 0 is raised on all ranks."""
        outcome: list[CocoResult | Exception | None] = [None]
        if _rank() == 0:
            try:
                outcome = [evaluate(self.truth(), self._found(), self.backend)]
            except Exception as error:  # The other ranks are waiting for it.
                outcome = [error]
        if dist.is_available() and dist.is_initialized():
            dist.broadcast_object_list(outcome, src=0)
        (result,) = outcome
        if isinstance(result, Exception):
            raise result
        assert result is not None
        return result

    def detections(self) -> Found:
        """Return all detections; see `DetectionMetric`."""
        with self.sync_context(should_unsync=True):
            return self._found()

    def _found(self) -> Found:
        """Return the detections of each image once, with the decimals that are written.

        What is measured is what a file holds: a box at the edge of an IoU threshold may count one
        way with all its digits and the other without.
        """
        columns = {state: self._column(state).cpu().numpy() for state in STATES}
        seen, counts = columns["seen"], columns["counts"]
        images, first = np.unique(seen, return_index=True)
        keep_image = np.zeros(len(seen), dtype=bool)
        keep_image[first] = True
        keep = np.repeat(keep_image, counts)
        boxes = columns["boxes"][keep].astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        labels = columns["labels"][keep]
        category_ids = np.asarray(self.category_ids, dtype=np.int64)[labels]
        scores = columns["scores"][keep].astype(float).round(SCORE_DECIMALS)
        boxes = boxes.round(BOX_DECIMALS)
        return Found(images, np.repeat(seen, counts)[keep], boxes, scores, category_ids)


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
