"""The masks of an image's detections, encoded as they are computed: few are held as pixels."""

from __future__ import annotations

from torch import Tensor

from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.models.masks import masks_in_parts
from yolov9_lit.structures import ImageInfo, MaskParts


def encoded_masks(parts: MaskParts, boxes: Tensor, info: ImageInfo) -> EncodedMasks:
    """Compute and encode the masks of an image's detections, some at a time.

    Args:
        parts: what they are computed from.
        boxes: (N, 4) xyxy in input pixels.
        info: of the image, in whose own pixels the masks are.
    """
    pieces = masks_in_parts(parts.coefficients, parts.prototypes, boxes, info)
    return EncodedMasks.joined([EncodedMasks.of(masks) for masks in pieces])
