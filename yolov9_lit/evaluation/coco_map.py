"""COCO's twelve figures as a torchmetrics Metric, on the data set's own annotations."""

from __future__ import annotations

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from faster_coco_eval import COCO as FastCOCO, COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.metric import ClassResult, DetectionMetric
from yolov9_lit.structures import Detections

STATES = {
    "seen": (torch.int64, ()),
    "counts": (torch.int64, ()),
    "boxes": (torch.float32, (4,)),
    "scores": (torch.float32, ()),
    "labels": (torch.int64, ()),
}
"""Type and row shape of each state."""

log = logging.getLogger(__name__)

BACKENDS = {
    "faster_coco_eval": (
        partial(FastCOCO, print_function=log.debug),
        partial(COCOeval_faster, print_function=log.debug),
    ),
    "pycocotools": (COCO, COCOeval),
}


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


class CocoMetric(DetectionMetric):
    """Collect detections over all processes; rank 0 evaluates, all ranks get the result.

    Only images that were given are evaluated, and an image given twice (as samplers do to even out
    ranks) counts once. Equal to pycocotools; the default backend is its faster re-implementation.
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
        backend: Literal["faster_coco_eval", "pycocotools"] = "faster_coco_eval",
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
                outcome = [self._evaluate()]
            except Exception as error:  # The other ranks are waiting for it.
                outcome = [error]
        if dist.is_available() and dist.is_initialized():
            dist.broadcast_object_list(outcome, src=0)
        (result,) = outcome
        if isinstance(result, Exception):
            raise result
        assert result is not None
        return result

    def detections_json(self) -> list[dict[str, Any]]:
        """Return all detections in COCO's results format; see `DetectionMetric`."""
        with self.sync_context(should_unsync=True):
            _, rows = self._rows()
        return [
            {
                "image_id": int(row[0]),
                "category_id": int(row[6]),
                "bbox": [round(float(v), 3) for v in row[1:5]],
                "score": round(float(row[5]), 6),
            }
            for row in rows
        ]

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image ids (M,), each once, and their detections (N, 7).

        A row is image id, x, y, width, height, score, category id.
        """
        columns = {state: self._column(state).cpu().numpy() for state in STATES}
        seen, counts, boxes = columns["seen"], columns["counts"], columns["boxes"].astype(float)
        images, first = np.unique(seen, return_index=True)
        keep_image = np.zeros(len(seen), dtype=bool)
        keep_image[first] = True
        keep = np.repeat(keep_image, counts)
        rows = np.empty((len(boxes), 7))
        rows[:, 0] = np.repeat(seen, counts)
        rows[:, 1:3] = boxes[:, :2]
        rows[:, 3:5] = boxes[:, 2:] - boxes[:, :2]
        rows[:, 5] = columns["scores"]
        rows[:, 6] = np.asarray(self.category_ids)[columns["labels"]]
        return images, rows[keep]

    def _evaluate(self) -> CocoResult:
        images, rows = self._rows()
        coco_class, eval_class = BACKENDS[self.backend]
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            truth = coco_class()
            truth.dataset = self.truth()
            truth.createIndex()
            if len(rows):
                found = truth.loadRes(rows)
            else:
                found = coco_class()
                found.dataset = {**truth.dataset, "annotations": []}
                found.createIndex()
            evaluation = eval_class(truth, found, "bbox")
            evaluation.params.imgIds = images.tolist()
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        figures: dict[str, Any] = dict(zip(FIGURES, map(float, evaluation.stats), strict=False))
        return CocoResult(
            **figures,
            num_images=len(images),
            per_class=self._per_class(truth, evaluation, set(images.tolist())),
        )

    def _per_class(self, truth: Any, evaluation: Any, images: set[int]) -> tuple[ClassResult, ...]:
        precision = np.asarray(evaluation.eval["precision"])  # (IoU, recall, class, area, limit)
        recall = np.asarray(evaluation.eval["recall"])  # (IoU, class, area, limit)
        objects = Counter(
            annotation["category_id"]
            for annotation in truth.dataset["annotations"]
            if annotation["image_id"] in images and not annotation["iscrowd"]
        )
        return tuple(
            ClassResult(
                category_id=category,
                name=truth.cats[category]["name"],
                objects=objects[category],
                AP=_mean(precision[:, :, k, 0, -1]),
                AP50=_mean(precision[0, :, k, 0, -1]),
                AR_100=_mean(recall[:, k, 0, -1]),
            )
            for k, category in enumerate(evaluation.params.catIds)
        )


def _mean(values: np.ndarray) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else -1.0


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
