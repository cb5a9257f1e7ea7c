"""What an exported file gives, by name; what a task adds to boxes is one more name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from yolov9_lit.data.letterbox import STRIDE
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Candidates, Detections, MaskParts


class PaddedDetections(NamedTuple):
    """Output of a file with NMS inside: by descending score, padded to N = `max_detections` rows.

    Attributes:
        boxes: (B, N, 4) float32, xyxy in input pixels; zeros where padded.
        scores: (B, N) float32, 0..1; zeros where padded.
        labels: (B, N) int64, class indices; -1 where padded.
        counts: (B,) int64, number of rows of an image that are detections.
        coefficients: (B, N, M) float32, of the prototypes; zeros where padded.
        prototypes: (B, M, H/4, W/4) float32.
        keypoints: (B, N, K, 3) float32, x and y in input pixels and how sure it is that each is
            visible, 0..1; zeros where padded.
        extra: (B, N, E) float32, of `Head.decode_extra`; zeros where padded.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    counts: Tensor
    coefficients: Tensor | None = None
    prototypes: Tensor | None = None
    keypoints: Tensor | None = None
    extra: Tensor | None = None

    def best(self, image: int, most: int) -> Detections:
        """Return the first detections of an image."""
        rows = image, slice(most)
        parts = None
        if self.coefficients is not None and self.prototypes is not None:
            parts = MaskParts(self.coefficients[rows], self.prototypes[image])
        return Detections(
            *(self.boxes[rows], self.scores[rows], self.labels[rows]),
            parts=parts,
            keypoints=None if self.keypoints is None else self.keypoints[rows],
            extra=None if self.extra is None else self.extra[rows],
        )


Outputs = Candidates | PaddedDetections
"""Of a file without NMS, and of one with NMS inside."""


def kind_of(nms: bool) -> type[Candidates] | type[PaddedDetections]:
    """Return what a file with or without NMS gives."""
    return PaddedDetections if nms else Candidates


def given(outputs: Outputs) -> tuple[Tensor, ...]:
    """Return the tensors that there are, as exporters take them; `names_of` tells which."""
    return tuple(tensor for tensor in outputs if tensor is not None)


def names_of(detector: Detector, nms: bool) -> tuple[str, ...]:
    """Return the names of what a detector's file gives: what it finds in a small image tells."""
    with torch.inference_mode():
        found = detector.candidates(detector(torch.zeros(1, 3, STRIDE, STRIDE)).main)
    absent = {name for name, tensor in found._asdict().items() if tensor is None}
    return tuple(name for name in kind_of(nms)._fields if name not in absent)


def known_names(names: Iterable[str] | None, nms: bool) -> tuple[str, ...]:
    """Return the names that a record tells; None in files of before there were other tasks.

    Raises:
        ValueError: they are not what this version knows.
    """
    kind = kind_of(nms)
    told = set(names or ())
    known = tuple(n for n in kind._fields if n in told or n not in kind._field_defaults)
    if names is not None and tuple(names) != known:
        raise ValueError(f"its outputs are {', '.join(map(str, names))}")
    return known
