"""NMS of a whole batch as ONNX's own operator, NonMaxSuppression.

It works class by class and image by image and says which boxes it keeps, as many as there are.
That number is unknown to a tracer, so the tracer sees one opaque operator of known shape,
`yolov9_lit::suppress`, and its translation to ONNX comes after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export.graph import suppress


@torch.library.custom_op("yolov9_lit::suppress", mutates_args=())
def _operator(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    num_classes: int,
    confidence: float,
    iou: float,
    most: int,
) -> Tensor:
    settings = NMSSettings(confidence, iou, multi_label=False, max_detections=most)
    return suppress(boxes, scores, labels, num_classes, settings)


@_operator.register_fake
def _shape(boxes: Tensor, scores: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(scores)


def opaque_suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, settings: NMSSettings
) -> Tensor:
    """`graph.suppress` as one operator."""
    limits = settings.confidence, settings.iou, settings.max_detections
    return _operator(boxes, scores, labels, num_classes, *limits)


def translations(opset: Any) -> dict[Callable, Callable]:
    """What the operator becomes.

    Args:
        opset: operators of ONNX, of `onnxscript`.
    """

    def suppress(
        boxes: Any,
        scores: Any,
        labels: Any,
        num_classes: int,
        confidence: float,
        iou: float,
        most: int,
    ) -> Any:
        own = opset.OneHot(labels, [num_classes], [0.0, 1.0], axis=1)  # (B, C, A)
        by_class = opset.Mul(own, opset.Unsqueeze(scores, [1]))
        kept = opset.NonMaxSuppression(boxes, by_class, [most], [iou], [confidence])
        place = opset.Gather(kept, [0, 2], axis=1)  # of (image, class, anchor)
        nothing = opset.Mul(scores, 0.0)
        return opset.ScatterND(nothing, place, opset.GatherND(scores, place))

    return {torch.ops.yolov9_lit.suppress.default: suppress}
