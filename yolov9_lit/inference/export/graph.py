"""What is exported: a deployed detector as a graph of tensors, with or without NMS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F
from torchvision.ops import nms

from yolov9_lit.data.letterbox import STRIDE
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export.format import InputShape
from yolov9_lit.inference.export.outputs import PaddedDetections, given
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Candidates


class CandidateGraph(nn.Module):
    """Images (B, 3, H, W) float32 in 0..1 -> `given` candidates: a plain tuple for the exporters.

    With `half` the network's weights and arithmetic are float16; decoding is float32 always, as
    float16 represents neither the pixels of a large image nor small probabilities.
    """

    def __init__(self, detector: Detector, half: bool = False) -> None:
        """Deploy a copy of a detector."""
        super().__init__()
        self.dtype = torch.float16 if half else torch.float32
        self.detector = detector.deploy().to(self.dtype)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute all candidates."""
        return given(self.found(images))

    def found(self, images: Tensor) -> Candidates:
        """Return them by name."""
        return self.detector.candidates(self.detector(images.to(self.dtype)).main)


Suppress: TypeAlias = Callable[[Tensor, Tensor, Tensor, int, NMSSettings], Tensor]
"""Boxes (B, A, 4), best scores (B, A), their labels (B, A), C -> scores kept (B, A), else 0."""


def suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, settings: NMSSettings
) -> Tensor:
    """Run class-aware NMS on a batch in one call of torchvision's operator.

    Every class of every image is shifted to a region of its own, in float64, where a shift does
    not change overlaps. torchvision declares to torch.export that at least two boxes are kept, so
    two empty ones of score 0 are added at the end.
    """
    image, anchor = (scores > settings.confidence).nonzero(as_tuple=True)
    kept_scores = scores[image, anchor]
    place = F.pad(image * num_classes + labels[image, anchor], (0, 2), value=-1)
    span = (boxes.amax() - boxes.amin() + 1).double()
    moved = F.pad(boxes[image, anchor], (0, 0, 0, 2)) + (place * span)[:, None]
    keep = nms(moved, F.pad(kept_scores.double(), (0, 2)), settings.iou)[:-2]
    return torch.zeros_like(scores).index_put((image[keep], anchor[keep]), kept_scores[keep])


def above(
    boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, settings: NMSSettings
) -> Tensor:
    """Keep all scores above the confidence: what NMS does where no overlap is too large."""
    return scores.where(scores > settings.confidence, 0)


class DetectionGraph(nn.Module):
    """Images (B, 3, H, W) float32 in 0..1 -> `given` padded detections: a plain tuple.

    The same detections as `non_max_suppression` with `multi_label=False`. Where overlaps of 1 are
    allowed, as for a head that takes one anchor an object, there is no NMS in it.
    """

    def __init__(
        self, candidates: CandidateGraph, settings: NMSSettings, suppress: Suppress = suppress
    ) -> None:
        """Append NMS.

        Args:
            candidates: the network.
            settings: settings of NMS.
            suppress: the implementation of NMS, which may depend on the format.
        """
        super().__init__()
        self.candidates = candidates
        self.settings = settings
        self.suppress = suppress if settings.iou < 1 else above

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the detections."""
        boxes, scores, coefficients, prototypes, keypoints, extra = self.candidates.found(images)
        best, labels = scores.max(dim=-1)
        kept = self.suppress(boxes, best, labels, scores.shape[-1], self.settings)
        most = self.settings.max_detections
        top, index = F.pad(kept, (0, most)).topk(most, dim=1)  # There may be fewer anchors.
        found = top > 0
        index = index.where(found, 0)
        return given(
            PaddedDetections(
                boxes=_rows(boxes, index, found),
                scores=top,
                labels=labels.gather(1, index).where(found, -1),
                counts=found.sum(dim=1),
                coefficients=None if coefficients is None else _rows(coefficients, index, found),
                prototypes=prototypes,
                keypoints=None if keypoints is None else _rows(keypoints, index, found),
                extra=None if extra is None else _rows(extra, index, found),
            )
        )


def _rows(values: Tensor, index: Tensor, found: Tensor) -> Tensor:
    """Take (B, N, ...) of values (B, A, ...) of all anchors, zeros where nothing was found."""
    flat = values.flatten(2)
    taken = flat.gather(1, index[..., None].expand(-1, -1, flat.shape[-1])) * found[..., None]
    return taken.unflatten(-1, values.shape[2:])


LEAST_OPEN_SIDE = 2 * STRIDE
"""Smallest open height or width in pixels: `torch.export` takes a size of 1 for a constant."""


def example_images(shape: InputShape) -> Tensor:
    """Return random images (B, 3, H, W) of a shape.

    Open sizes all differ, so that a tracer does not take two of them for the same.
    """
    return torch.rand(shape.batch or 2, 3, shape.height or 96, shape.width or 128)


def traced(graph: nn.Module, shape: InputShape) -> ExportedProgram:
    """Trace a graph for images of a shape; open sizes are multiples of 32, from 64 on."""
    dims = {
        0: None if shape.batch else Dim("batch", min=1, max=1024),
        2: None if shape.height else STRIDE * Dim("rows", min=LEAST_OPEN_SIDE // STRIDE, max=512),
        3: None if shape.width else STRIDE * Dim("columns", min=LEAST_OPEN_SIDE // STRIDE, max=512),
    }
    open_dims = {axis: dim for axis, dim in dims.items() if dim is not None}
    with torch.no_grad():
        return torch.export.export(
            graph, (example_images(shape),), dynamic_shapes=(open_dims,), strict=False
        )
