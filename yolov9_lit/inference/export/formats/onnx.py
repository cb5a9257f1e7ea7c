"""ONNX files: written by torch's exporter, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from yolov9_lit.checks import whole_number, yes_or_no
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export.format import (
    KEY,
    Exported,
    ExportRecord,
    Int8Format,
    reason,
    runtime,
)
from yolov9_lit.inference.export.graph import DetectionGraph, suppress, traced
from yolov9_lit.inference.export.quantize import quantized

INPUT = "images"


@dataclass(frozen=True)
class OnnxFormat(Int8Format):
    """A `.onnx` file.

    Attributes:
        opset: version of the ONNX operators, 18 or later.
        simplify: whether onnxslim folds and joins operators.
    """

    opset: int = 18
    simplify: bool = False
    suffix: ClassVar[str] = ".onnx"

    def __post_init__(self) -> None:
        """Check the options before anything is computed."""
        yes_or_no("simplify", self.simplify)
        if whole_number("opset", self.opset) < 18:
            raise UserError(f"opset={self.opset} is too old: give 18 or a later one.")

    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Write a graph, with the record in the metadata."""
        _save(self.model(graph, record), record, path)

    def write_int8(
        self, graph: nn.Module, record: ExportRecord, path: Path, images: Iterable[np.ndarray]
    ) -> None:
        """Write a graph with quantized convolutions, likewise."""
        _save(quantized(self.model(graph, record), INPUT, images), record, path)

    def model(self, graph: nn.Module, record: ExportRecord) -> Any:
        """Return a graph as an `onnx.ModelProto`."""
        model = self._translated(graph, record)
        return runtime("onnxslim").slim(model) if self.simplify else model

    def _translated(self, graph: nn.Module, record: ExportRecord) -> Any:
        runtime("onnx")
        operators = getattr(runtime("onnxscript"), f"opset{self.opset}", None)
        if operators is None:
            raise UserError(f"opset={self.opset} is unknown to the installed onnxscript: give 18.")
        if isinstance(graph, DetectionGraph):
            graph = DetectionGraph(graph.candidates, graph.settings, _opaque_suppress)
        program = torch.onnx.export(
            traced(graph, record.shape),
            dynamo=True,
            opset_version=self.opset,
            input_names=[INPUT],
            output_names=record.outputs,
            custom_translation_table=_translations(operators),
            verbose=False,
        )
        assert program is not None
        return program.model_proto

    @staticmethod
    def read(path: Path) -> Exported:
        """Open a file on the CPU."""
        ort = runtime("onnxruntime")
        try:
            session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception class per status.
            raise UserError(
                f"{path} cannot be read as ONNX ({reason(error)}): export it again."
            ) from error
        properties = session.get_modelmeta().custom_metadata_map
        record = ExportRecord.from_json(properties.get(KEY), path)

        def run(images: Tensor) -> list[Tensor]:
            return [torch.from_numpy(o) for o in session.run(None, {INPUT: images.numpy()})]

        return Exported(record, partial(map, run))


def _save(model: Any, record: ExportRecord, path: Path) -> None:
    onnx = runtime("onnx")
    _forget_origin(model)
    onnx.helper.set_model_props(model, {KEY: record.to_json()})
    onnx.save(model, path)


def _forget_origin(model: Any) -> None:
    """Drop the exporter's notes, a quarter of a small file: source paths and inner shapes."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
    for field in ("metadata_props", "value_info"):
        model.graph.ClearField(field)


# ONNX's NonMaxSuppression works class by class and image by image and returns as many boxes as it
# keeps. A tracer does not know their number, so it sees one opaque operator of known shape,
# `yolov9_lit::suppress`, which the exporter then translates.


@torch.library.custom_op("yolov9_lit::suppress", mutates_args=())
def _suppress(
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


@_suppress.register_fake
def _shape(boxes: Tensor, scores: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(scores)


def _opaque_suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, settings: NMSSettings
) -> Tensor:
    """Call `graph.suppress` as one operator."""
    limits = settings.confidence, settings.iou, settings.max_detections
    return _suppress(boxes, scores, labels, num_classes, *limits)


def _translations(opset: Any) -> dict[Callable, Callable]:
    """Return the ONNX implementation of the operator, written in an opset of onnxscript."""

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
        place = opset.Gather(kept, [0, 2], axis=1)  # Of (image, class, anchor).
        nothing = opset.Mul(scores, 0.0)
        return opset.ScatterND(nothing, place, opset.GatherND(scores, place))

    return {torch.ops.yolov9_lit.suppress.default: suppress}
