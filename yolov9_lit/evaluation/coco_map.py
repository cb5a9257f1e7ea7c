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
            found = self._found()
        columns = (found.image_ids, found.category_ids, found.boxes, found.scores)
        return [
            {
                "image_id": image_id,
                "category_id": category_id,
                "bbox": [round(value, 3) for value in box],
                "score": round(score, 6),
            }
            for image_id, category_id, box, score in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]

    def _found(self) -> _Found:
        """Return the detections of each image once."""
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
        scores = columns["scores"][keep].astype(float)
        return _Found(images, np.repeat(seen, counts)[keep], boxes, scores, category_ids)

    def _evaluate(self) -> CocoResult:
        found = self._found()
        truth = _numbered(self.truth())
        images = truth.images_of(found.images)
        rows = np.column_stack(
            [
                truth.images_of(found.image_ids),
                found.boxes,
                found.scores,
                truth.categories_of(found.category_ids),
            ]
        )
        coco_class, eval_class = BACKENDS[self.backend]
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            expected = coco_class()
            expected.dataset = truth.dataset
            expected.createIndex()
            if len(rows):
                given = expected.loadRes(rows)
            else:
                given = coco_class()
                given.dataset = {**truth.dataset, "annotations": []}
                given.createIndex()
            evaluation = eval_class(expected, given, "bbox")
            evaluation.params.imgIds = images.tolist()
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        figures: dict[str, Any] = dict(zip(FIGURES, map(float, evaluation.stats), strict=False))
        return CocoResult(
            **figures,
            num_images=len(images),
            per_class=_per_class(truth, evaluation, set(images.tolist())),
        )


class _Found(NamedTuple):
    """The images that were evaluated, and their N detections.

    Attributes:
        images: their ids, int64, each once.
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


class _Numbered(NamedTuple):
    """A ground truth whose images and categories are numbered from 1, in the order of their ids.

    pycocotools keeps ids in floats, which are exact up to 2^53 only.

    Attributes:
        dataset: with numbers in place of ids.
        images: number by id.
        categories: number by id.
    """

    dataset: Truth
    images: dict[int, int]
    categories: dict[int, int]

    def images_of(self, ids: np.ndarray) -> np.ndarray:
        """Return the images' numbers."""
        return np.array([self.images[i] for i in ids.tolist()], dtype=np.int64)

    def categories_of(self, ids: np.ndarray) -> np.ndarray:
        """Return the categories' numbers, 0 for one that has no object here."""
        return np.array([self.categories.get(i, 0) for i in ids.tolist()], dtype=np.int64)


def _numbered(truth: Truth) -> _Numbered:
    images, categories = (
        {value: i for i, value in enumerate(sorted(entry["id"] for entry in truth[key]), start=1)}
        for key in ("images", "categories")
    )
    dataset = {
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
    return _Numbered(dataset, images, categories)


def _per_class(truth: _Numbered, evaluation: Any, images: set[int]) -> tuple[ClassResult, ...]:
    precision = np.asarray(evaluation.eval["precision"])  # (IoU, recall, class, area, limit)
    recall = np.asarray(evaluation.eval["recall"])  # (IoU, class, area, limit)
    objects = Counter(
        annotation["category_id"]
        for annotation in truth.dataset["annotations"]
        if annotation["image_id"] in images and not annotation["iscrowd"]
    )
    names = {entry["id"]: entry["name"] for entry in truth.dataset["categories"]}
    return tuple(
        ClassResult(
            category_id=category_id,
            name=names[number],
            objects=objects[number],
            AP=_mean(precision[:, :, number - 1, 0, -1]),
            AP50=_mean(precision[0, :, number - 1, 0, -1]),
            AR_100=_mean(recall[:, number - 1, 0, -1]),
        )
        for category_id, number in truth.categories.items()
    )


def _mean(values: np.ndarray) -> float:
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else -1.0


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
