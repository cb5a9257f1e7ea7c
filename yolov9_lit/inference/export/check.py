"""Compare a written file with PyTorch: it is opened and run on images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from yolov9_lit.data.letterbox import STRIDE, evaluation_letterbox, fitted_size
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression
from yolov9_lit.inference.export.format import ExportRecord
from yolov9_lit.inference.export.graph import CandidateGraph, Candidates
from yolov9_lit.inference.exported import ExportedPredictor
from yolov9_lit.structures import Detections

SAME_PLACE = 0.9
"""Overlap (IoU) beyond which two detections of one class are the same."""


class Limits(NamedTuple):
    """What counts as the same: the largest differences and the smallest share of matches."""

    boxes: float
    scores: float
    matched: float


FLOAT = Limits(boxes=0.1, scores=1e-3, matched=0.99)
HALF = Limits(boxes=8.0, scores=0.05, matched=0.9)


class Agreement(NamedTuple):
    """How well a file and PyTorch agree.

    Attributes:
        boxes: largest difference of a box coordinate in input pixels, over all candidates, or over
            matched detections if NMS is inside.
        scores: largest difference of a probability, over the same.
        matched: share of both sides' detections that the other side has too, 0..1.
        detections: number of PyTorch's detections.
        images: number of images compared.
    """

    boxes: float
    scores: float
    matched: float
    detections: int
    images: int

    def within(self, limits: Limits) -> bool:
        """Tell whether the differences are within limits; NaN never is."""
        differences = self.boxes <= limits.boxes and self.scores <= limits.scores
        return differences and self.matched >= limits.matched


def compare(
    file: ExportedPredictor,
    reference: CandidateGraph,
    images: Sequence[np.ndarray],
    settings: NMSSettings,
) -> Agreement:
    """Run a file and PyTorch on images in every shape that the file promises to take.

    Args:
        file: the opened file.
        reference: the detector in float32.
        images: each (H, W, 3) uint8 RGB.
        settings: settings of NMS, in the file or after it.
    """
    boxes = scores = 0.0
    matched = found = expected = compared = 0
    for batch in _batches(file.file.record, images):
        with torch.inference_mode():
            candidates = Candidates(*reference(batch))
        outputs = file(batch)
        if isinstance(outputs, Candidates):
            boxes = _larger(boxes, candidates.boxes, outputs.boxes)
            scores = _larger(scores, candidates.scores, outputs.scores)
        theirs = file.detect(batch, settings)
        ours = non_max_suppression(*candidates, settings)
        for one, other in zip(ours, theirs, strict=True):
            first, second = _matches(one, other)
            boxes = _larger(boxes, one.boxes[first], other.boxes[second])
            scores = _larger(scores, one.scores[first], other.scores[second])
            matched += len(first)
        found += sum(len(d.scores) for d in theirs)
        expected += sum(len(d.scores) for d in ours)
        compared += len(batch)
    share = 2 * matched / (found + expected) if found + expected else 1.0
    return Agreement(boxes, scores, share, expected, compared)


def _larger(so_far: float, one: Tensor, other: Tensor) -> float:
    """Return the larger difference; NaN if either is."""
    if one.shape != other.shape:
        return float("nan")
    if not one.numel():
        return so_far
    return float(torch.stack((torch.tensor(so_far), (one - other).abs().max())).max())


def _matches(one: Detections, other: Detections) -> tuple[list[int], list[int]]:
    """Return indices of the detections that are the same, each at most once."""
    same = box_iou(one.boxes, other.boxes) * (one.labels[:, None] == other.labels)
    pairs: dict[int, int] = {}
    for i, j in (same > SAME_PLACE).nonzero().tolist():
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return list(pairs), list(pairs.values())


def _batches(record: ExportRecord, images: Sequence[np.ndarray]) -> Iterator[Tensor]:
    """Give batches (B, 3, H, W) in 0..1 of 1, 2 and 3 images; open sizes differ between them."""
    size = max(record.card.image_size // STRIDE, 4)
    endless = itertools.cycle(images)
    shapes = ((size, size), (size // 2, size), (size, max(size * 3 // 4, 2)))
    for count, (rows, columns) in enumerate(shapes, start=1):
        shape = record.shape.height or rows * STRIDE, record.shape.width or columns * STRIDE
        arrays = [
            evaluation_letterbox(image, shape, fitted_size(image.shape[:2], shape))[0]
            for image in itertools.islice(endless, record.shape.batch or count)
        ]
        yield torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255
