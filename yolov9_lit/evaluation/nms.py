"""Non-maximum suppression with the published evaluation's settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from yolov9_lit.checks import check_fields
from yolov9_lit.kinds import PositiveInt, Share
from yolov9_lit.structures import Candidates, Detections, MaskParts

_FIRST = 2_048  # Candidates of an image that are looked at first.


@dataclass(frozen=True)
class NMSSettings:
    """How candidates become detections.

    Attributes:
        confidence: candidates score more than this, 0..1.
        iou: a box is suppressed by a better one of its class beyond this overlap, 0..1.
        multi_label: a box may stand for every class above the confidence, not only its best one.
        max_candidates: best candidates of an image that are looked at.
        max_detections: best detections of an image that are kept.

    Raises:
        UserError: a value is out of its range.
    """

    confidence: Share = 0.001
    iou: Share = 0.7
    multi_label: bool = True
    max_candidates: PositiveInt = 30_000
    max_detections: PositiveInt = 300

    def __post_init__(self) -> None:
        """Check the ranges: most wrong values would find other things, or nothing, in silence."""
        check_fields(self)


def suppressed(candidates: Candidates, settings: NMSSettings) -> list[Detections]:
    """Return the detections among candidates, with all that these have besides boxes."""
    return [detections for detections, _ in with_anchors(candidates, settings)]


def with_anchors(
    candidates: Candidates, settings: NMSSettings
) -> Iterator[tuple[Detections, Tensor]]:
    """Yield what `suppressed` returns, and the anchor (N,) that each comes from."""
    boxes, scores, coefficients, prototypes, keypoints, extra = candidates
    for i in range(len(boxes)):
        detections, anchors = _suppress(boxes[i], scores[i], settings)
        parts = None
        if coefficients is not None and prototypes is not None:
            parts = MaskParts(coefficients[i][anchors], prototypes[i])
        points, numbers = (
            None if values is None else values[i][anchors] for values in (keypoints, extra)
        )
        yield detections._replace(parts=parts, keypoints=points, extra=numbers), anchors


def non_max_suppression(boxes: Tensor, scores: Tensor, settings: NMSSettings) -> list[Detections]:
    """Suppress overlapping boxes class by class.

    Args:
        boxes: (B, A, 4) xyxy in pixels.
        scores: (B, A, C) probabilities.
        settings: thresholds and limits.

    Returns:
        One entry an image, by falling score.
    """
    return suppressed(Candidates(boxes, scores), settings)


def _suppress(boxes: Tensor, scores: Tensor, settings: NMSSettings) -> tuple[Detections, Tensor]:
    if settings.multi_label:
        anchors, labels = (scores > settings.confidence).nonzero(as_tuple=True)
        kept_scores = scores[anchors, labels]
    else:
        best, best_labels = scores.max(dim=-1)
        (anchors,) = (best > settings.confidence).nonzero(as_tuple=True)
        labels, kept_scores = best_labels[anchors], best[anchors]
    if len(kept_scores) > settings.max_candidates:
        kept_scores, order = kept_scores.topk(settings.max_candidates)
        anchors, labels = anchors[order], labels[order]
    kept_scores, order = kept_scores.sort(descending=True, stable=True)
    anchors, labels = anchors[order], labels[order].to(torch.int64)
    candidates = boxes[anchors].float()
    keep = _best(candidates, kept_scores.float(), labels, settings)
    return Detections(candidates[keep], kept_scores[keep], labels[keep]), anchors[keep]


def _best(boxes: Tensor, scores: Tensor, labels: Tensor, settings: NMSSettings) -> Tensor:
    """Return the indices of the detections among candidates, which come by falling score.

    Only better candidates decide about one, so the first of them suffice where they hold as many
    detections as are kept: mostly 2,000 of the 20,000 at a confidence of 0.001.
    """
    # batched_nms parts classes by the largest coordinate, which suffices where none is negative.
    shifted = boxes - boxes.amin() if len(boxes) else boxes
    count = _FIRST
    while True:
        keep: Tensor = batched_nms(shifted[:count], scores[:count], labels[:count], settings.iou)
        if len(keep) >= settings.max_detections or count >= len(scores):
            return keep.sort().values[: settings.max_detections]  # Equal scores too are in order.
        count *= 4
