"""COCO's AP on resampled images: match once, accumulate many times.

Which detection is a true positive depends on its own image only. So every image is matched
once, and a resample of the images (each drawn w times) gives its AP by weighting them:
the same as evaluating a data set in which each image is there w times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.coco_columns import column, keypoints_in, sorted_ids
from yolov9_lit.evaluation.coco_task import Kind, Task
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.memory import no_garbage_collection

RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which COCO reads the precision."""

BLOCK = 4_000_000
"""Numbers held at once: replicates are taken in parts so that memory stays small."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassMatches:
    """One category's detections in all images, the best first (D of them; I images).

    Attributes:
        images: (D,) index of each detection's image.
        positives: (I,) number of objects to be found in each image; crowds are not.
        hits: for each IoU threshold the ascending positions of the true positives.
        ignored: for each IoU threshold the ascending positions of detections that count neither
            as right nor as wrong (they lie on crowds).
    """

    images: Ints
    positives: Ints
    hits: tuple[Ints, ...]
    ignored: tuple[Ints, ...]

    def average_precision(self, weights: Ints) -> Floats:
        """AP, mean over the IoU thresholds, of each resample.

        Args:
            weights: (B, I) how often each image was drawn.

        Returns:
            (B,) in 0..1; NaN where the drawn images hold no such object.
        """
        total = weights @ self.positives
        drawn = weights[:, self.images[self.places]]
        ranks = _until(self._detections, weights)
        found = np.zeros(len(weights))
        for hits, ignored in zip(self.hits, self._ignored, strict=True):
            if len(hits):
                at = np.searchsorted(self.places, hits)
                right = drawn[:, at].cumsum(axis=1)
                counted = ranks[:, at]
                if ignored.nnz:
                    counted = counted - _until(ignored, weights)
                found += _area(right, counted, total)
        return np.where(total > 0, found / len(self.hits), np.nan)

    @cached_property
    def places(self) -> Ints:
        """Ascending positions of the true positives at any threshold: they alone decide."""
        return np.unique(np.concatenate(self.hits))

    @cached_property
    def _detections(self) -> csr_array:
        return self._stretches(self.places, np.arange(len(self.images)))

    @cached_property
    def _ignored(self) -> tuple[csr_array, ...]:
        return tuple(map(self._stretches, self.hits, self.ignored))

    def _stretches(self, places: Ints, counted: Ints) -> csr_array:
        """Return how many detections of each image lie behind one place up to the next, (P, I).

        Args:
            places: (P,) ascending positions among the detections.
            counted: positions of the detections that are counted.
        """
        counted = counted[counted <= places[-1]] if len(places) else counted[:0]
        ones = np.ones(len(counted), dtype=np.int64)
        at = (np.searchsorted(places, counted), self.images[counted])
        return csr_array((ones, at), (len(places), len(self.positives)))


@dataclass(frozen=True)
class Matches:
    """A run's detections on the test images, matched.

    Attributes:
        num_images: all images of the test, with or without objects and detections.
        classes: in the order of the category ids.
        truth: names the images, their objects and the sigmas of keypoints; equal where runs were
            tested on the same.
    """

    num_images: int
    classes: tuple[ClassMatches, ...]
    truth: str

    def average_precision(self, weights: Ints) -> Floats:
        """AP of each resample: over all sizes, at most 100 detections an image, of poses 20.

        Args:
            weights: (B, I) how often each image was drawn, images in the order of their ids.

        Returns:
            (B,) in 0..1, NaN where no image with an object was drawn.
        """
        figures = np.empty((len(self.classes), len(weights)))
        for row, matched in zip(figures, self.classes, strict=True):
            step = max(1, BLOCK // max(1, len(matched.places)))
            for start in range(0, len(weights), step):
                part = slice(start, start + step)
                row[part] = matched.average_precision(weights[part])
        present = ~np.isnan(figures)
        with np.errstate(invalid="ignore"):  # 0 / 0 where nothing is present
            return np.nansum(figures, axis=0) / present.sum(axis=0)


@no_garbage_collection()
def match(truth: Truth, detections: Sequence[Mapping[str, Any]], kind: Kind = "bbox") -> Matches:
    """Match a run's detections with the ground truth.

    Args:
        truth: the test's annotations, each with "area" and "iscrowd".
        detections: COCO results entries.
        kind: what is matched, which both must have.

    Raises:
        Exception: of any kind, for what is no such entry.
    """
    task = Task.of_kind(kind, truth, _found(truth, detections, kind))
    evaluation = task.comparison()
    evaluation.params.area_rng = evaluation.params.area_rng[:1]
    evaluation.params.area_rng_lbl = evaluation.params.area_rng_lbl[:1]
    evaluation.params.max_dets = evaluation.params.max_dets[-1:]
    evaluation.evaluate()
    images, categories = sorted_ids(truth["images"]), sorted_ids(truth["categories"])
    matched: list[list[dict[str, Any]]] = [[] for _ in categories]
    for entry in evaluation.eval_imgs:
        if entry is not None:
            matched[entry["category_id"] - 1].append(entry)
    thresholds = len(evaluation.params.iou_thrs)
    classes = tuple(_class_matches(found, len(images), thresholds) for found in matched)
    objects = np.stack([one.positives for one in classes])
    sigmas = np.array(task.poses.sigmas if task.poses else ())
    parts = (np.array([*categories, *images]), objects, sigmas)
    name = hashlib.sha256(b"".join(part.tobytes() for part in parts))
    return Matches(len(images), classes, name.hexdigest())


def _found(truth: Truth, detections: Sequence[Mapping[str, Any]], kind: Kind) -> Found:
    images = sorted_ids(truth["images"])
    ids = column(detections, "image_id", np.int64)
    if not np.isin(ids, images).all():
        raise ValueError("it has images that the annotations lack")
    return Found(
        images,
        ids,
        column(detections, "bbox", float).reshape(-1, 4),
        column(detections, "score", float),
        column(detections, "category_id", np.int64),
        _masks(detections) if kind == "segm" else None,
        keypoints_in(detections, truth) if kind == "keypoints" else None,
    )


def _masks(detections: Sequence[Mapping[str, Any]]) -> EncodedMasks:
    given = [entry["segmentation"] for entry in detections]
    texts = [mask["counts"].encode() for mask in given]
    return EncodedMasks.packed(column(given, "size", np.int64), texts)


def _class_matches(found: Sequence[dict[str, Any]], images: int, thresholds: int) -> ClassMatches:
    """Join one category's images with objects or detections, the best score first."""
    positives = np.zeros(images, dtype=np.int64)
    for entry in found:
        positives[entry["image_id"] - 1] = entry["gtIgnore"].count(0)
    scores = np.array([*chain.from_iterable(entry["dtScores"] for entry in found)], dtype=float)
    counts = [len(entry["dtScores"]) for entry in found]
    places = np.repeat([entry["image_id"] - 1 for entry in found], counts).astype(np.int64)
    order = np.argsort(-scores, kind="stable")  # as pycocotools: ties in the order of the images

    def joined(key: str) -> NDArray[np.bool_]:
        by_threshold = zip(*(entry[key] for entry in found), strict=True)
        rows = [[*chain.from_iterable(row)] for row in by_threshold] or [[]] * thresholds
        return np.array(rows, dtype=bool)[:, order]

    ignored = joined("dtIgnore")
    return ClassMatches(
        images=places[order],
        positives=positives,
        hits=tuple(np.flatnonzero(row) for row in joined("dtMatched") & ~ignored),
        ignored=tuple(np.flatnonzero(row) for row in ignored),
    )


def _until(stretches: csr_array, weights: Ints) -> Ints:
    """Count detections up to and with each place (B, P), as often as their images were drawn."""
    return np.ascontiguousarray((stretches @ weights.T).T).cumsum(axis=1)


def _area(right: Ints, counted: Ints, total: Ints) -> Floats:
    """Area under the precision-recall curve as COCO takes it.

    Recall grows at true positives only, so they alone decide: each gives its precision (the best
    at its recall or beyond) to those of the 101 recalls that it is the first to reach.

    Args:
        right: (B, N) true positives up to and with each true positive.
        counted: (B, N) detections up to there, ignored ones left out.
        total: (B,) objects to be found.

    Returns:
        (B,) in 0..1.
    """
    precision = right / (counted + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, right / np.maximum(total, 1)[:, None], side="right")
    newly = np.diff(reached, axis=1, prepend=0)
    return np.einsum("bn,bn->b", best, newly) / len(RECALLS)
