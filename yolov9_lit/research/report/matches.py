"""COCO's AP on resampled images: match once, accumulate many times.

Which detection is a true positive depends on its own image only. So pycocotools matches every
image once, and a resample of the images (each drawn w times) gives its AP by weighting them:
the same as evaluating a data set in which each image is there w times.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

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
        drawn = weights[:, self.images]
        ranks = drawn.cumsum(axis=1)
        found = np.zeros(len(weights))
        for hits, ignored in zip(self.hits, self.ignored, strict=True):
            if len(hits):
                right = drawn[:, hits].cumsum(axis=1)
                counted = ranks[:, hits] - _before(hits, ignored, drawn)
                found += _area(right, counted, total)
        return np.where(total > 0, found / len(self.hits), np.nan)


@dataclass(frozen=True)
class Matches:
    """A run's detections on the test images, matched.

    Attributes:
        num_images: all images of the test, with or without objects and detections.
        classes: in the order of the category ids.
        truth: names the images and their objects; equal where runs were tested on the same.
    """

    num_images: int
    classes: tuple[ClassMatches, ...]
    truth: str

    def average_precision(self, weights: Ints) -> Floats:
        """AP of each resample: over all object sizes, at most 100 detections an image.

        Args:
            weights: (B, I) how often each image was drawn, images in the order of their ids.

        Returns:
            (B,) in 0..1, NaN where no image with an object was drawn.
        """
        figures = np.empty((len(self.classes), len(weights)))
        for row, matched in zip(figures, self.classes, strict=True):
            step = max(1, BLOCK // max(1, len(matched.images)))
            for start in range(0, len(weights), step):
                part = slice(start, start + step)
                row[part] = matched.average_precision(weights[part])
        present = ~np.isnan(figures)
        with np.errstate(invalid="ignore"):  # 0 / 0 where nothing is present
            return np.nansum(figures, axis=0) / present.sum(axis=0)


def match(truth: COCO, detections: Sequence[dict[str, Any]]) -> Matches:
    """Match a run's detections with the ground truth.

    Args:
        truth: the test's annotations, each with "area" and "iscrowd".
        detections: COCO results entries.
    """
    evaluation = _evaluate(truth, list(detections))
    categories, images = evaluation.params.catIds, evaluation.params.imgIds
    count = len(images)
    classes = tuple(
        _class_matches(evaluation.evalImgs[k * count : (k + 1) * count], evaluation.params.iouThrs)
        for k in range(len(categories))
    )
    objects = np.stack([matched.positives for matched in classes])
    name = hashlib.sha256(np.array([*categories, *images]).tobytes() + objects.tobytes())
    return Matches(count, classes, name.hexdigest())


def _evaluate(truth: COCO, detections: list[dict[str, Any]]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        if detections:
            found = truth.loadRes(detections)
        else:
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.params.maxDets = evaluation.params.maxDets[-1:]
        evaluation.evaluate()
    return evaluation


def _class_matches(per_image: Sequence[dict[str, Any] | None], thresholds: Floats) -> ClassMatches:
    """Join one category's images (None: neither objects nor detections), the best score first."""
    found = [(i, e) for i, e in enumerate(per_image) if e is not None]
    positives = np.zeros(len(per_image), dtype=np.int64)
    for i, e in found:
        positives[i] = np.count_nonzero(e["gtIgnore"] == 0)
    nothing = np.zeros((len(thresholds), 0), dtype=bool)
    scores = np.concatenate([np.zeros(0), *(e["dtScores"] for _, e in found)])
    images = np.repeat([i for i, _ in found], [len(e["dtScores"]) for _, e in found])
    matched = np.concatenate([nothing, *(e["dtMatches"] != 0 for _, e in found)], axis=1)
    ignored = np.concatenate([nothing, *(e["dtIgnore"] != 0 for _, e in found)], axis=1)
    order = np.argsort(-scores, kind="stable")  # as pycocotools: ties in the order of the images
    hits, ignored = (matched & ~ignored)[:, order], ignored[:, order]
    return ClassMatches(
        images=images[order].astype(np.int64),
        positives=positives,
        hits=tuple(np.flatnonzero(row) for row in hits),
        ignored=tuple(np.flatnonzero(row) for row in ignored),
    )


def _before(hits: Ints, ignored: Ints, drawn: Ints) -> Ints:
    """(B, hits) how many ignored detections, weighted, come before each hit."""
    if not len(ignored):
        return np.zeros_like(hits)
    running = np.pad(drawn[:, ignored].cumsum(axis=1), ((0, 0), (1, 0)))
    return running[:, np.searchsorted(ignored, hits)]


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
