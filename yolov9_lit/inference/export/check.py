"""Compare a written file with PyTorch: it is opened and run on images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from yolov9_lit.data.letterbox import STRIDE, evaluation_letterbox, fitted_size
from yolov9_lit.evaluation.nms import NMSSettings, suppressed
from yolov9_lit.inference.export.agreement import Agreement
from yolov9_lit.inference.export.format import ExportRecord
from yolov9_lit.inference.export.graph import CandidateGraph
from yolov9_lit.inference.exported import ExportedPredictor
from yolov9_lit.models.masks import masks_in_parts
from yolov9_lit.structures import Candidates, Detections, ImageInfo


def compare(
    file: ExportedPredictor,
    reference: CandidateGraph,
    images: Sequence[np.ndarray],
    settings: NMSSettings,
    overlap: float,
) -> Agreement:
    """Run a file and PyTorch on images in every shape that the file promises to take.

    Args:
        file: the opened file.
        reference: the detector in float32.
        images: each (H, W, 3) uint8 RGB.
        settings: settings of NMS, in the file or after it.
        overlap: IoU beyond which two detections of one class are the same.
    """
    worst = torch.zeros(len(Candidates._fields) + 1)
    overlaps: list[Tensor] = []
    matched = found = expected = compared = 0
    for batch in _batches(file.file.record, images):
        with torch.inference_mode():
            candidates = reference.found(batch)
        outputs = file(batch)
        if isinstance(outputs, Candidates):
            worst = worst.maximum(_differences(candidates, outputs))
        theirs = file.detect(batch, settings)
        ours = suppressed(candidates, settings)
        for one, other in zip(ours, theirs, strict=True):
            first, second = _matches(one, other, overlap)
            pair = one.select(first), other.select(second)
            worst = worst.maximum(_differences(*map(_numbers, pair)))
            overlaps += _mask_overlaps(*pair, batch.shape[2:])
            matched += len(first)
        found += sum(len(d.scores) for d in theirs)
        expected += sum(len(d.scores) for d in ours)
        compared += len(batch)
    boxes, scores, _, _, places, visible, extra = worst.tolist()
    return Agreement(
        boxes,
        scores,
        parts=float(worst[2:4].max()),  # NaN, if one is.
        keypoints=places if "keypoints" in file.file.record.outputs else None,
        visible=visible,
        extra=extra,
        matched=2 * matched / (found + expected) if found + expected else 1.0,
        masks=float(torch.cat(overlaps).mean()) if overlaps else None,
        detections=expected,
        images=compared,
    )


def _differences(one: Candidates, other: Candidates) -> Tensor:
    """Return the largest differences, (7,): of each field, of keypoints' places and visibility.

    Those of masks' parts and of extra numbers are relative to the largest. NaN tells that
    one side lacks what the other has, or has it in another shape.
    """
    pairs = zip(_parted(one), _parted(other), strict=True)
    return torch.stack(
        [_difference(*pair, relative=i in (2, 3, 6)) for i, pair in enumerate(pairs)]
    )


def _parted(candidates: Candidates) -> tuple[Tensor | None, ...]:
    """Return the fields, of keypoints the places and the visibility."""
    *others, keypoints, extra = candidates
    if keypoints is None:
        return (*others, None, None, extra)
    return (*others, keypoints[..., :2], keypoints[..., 2:], extra)


def _difference(one: Tensor | None, other: Tensor | None, relative: bool) -> Tensor:
    if one is None or other is None or one.shape != other.shape:
        return torch.tensor(0.0 if one is other else torch.nan)
    if not one.numel():
        return torch.tensor(0.0)
    largest = one.abs().max().clamp(min=torch.finfo().tiny) if relative else 1.0
    return (one - other).abs().max() / largest


def _numbers(detections: Detections) -> Candidates:
    """Return the numbers of N detections: they are those of N of the candidates."""
    parts = detections.parts or ()
    found = Candidates(detections.boxes, detections.scores, *parts)
    return found._replace(keypoints=detections.keypoints, extra=detections.extra)


def _mask_overlaps(one: Detections, other: Detections, shape: Sequence[int]) -> list[Tensor]:
    """Return the overlaps (IoU) of two sides' masks in inputs of a shape, some (K,) at a time."""
    if not len(one.scores) or one.parts is None or other.parts is None:
        return []
    whole = ImageInfo(0, "", *shape)
    ours = masks_in_parts(*one.parts, one.boxes, whole)
    theirs = masks_in_parts(*other.parts, other.boxes, whole)
    return [
        ((a & b).sum(dim=(1, 2)) / (a | b).sum(dim=(1, 2))).nan_to_num(1.0)  # Both are empty.
        for a, b in zip(ours, theirs, strict=True)
    ]


def _matches(one: Detections, other: Detections, overlap: float) -> tuple[Tensor, Tensor]:
    """Return indices of the detections that are the same, each at most once, the nearest first."""
    same = box_iou(one.boxes, other.boxes) * (one.labels[:, None] == other.labels)
    close = (same > overlap).nonzero()
    nearest = same[close[:, 0], close[:, 1]].argsort(descending=True, stable=True)
    pairs: dict[int, int] = {}
    for i, j in close[nearest].tolist():
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return torch.tensor([*pairs], dtype=torch.long), torch.tensor(
        [*pairs.values()], dtype=torch.long
    )


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
