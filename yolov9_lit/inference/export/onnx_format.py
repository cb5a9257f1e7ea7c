"""ONNX files: written by torch's exporter, run by onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from yolov9_lit.checks import whole_number, yes_or_no
from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.graph import Candidates, DetectionGraph, PaddedDetections
from yolov9_lit.inference.export.onnx_nms import opaque_suppress, translations
from yolov9_lit.inference.export.record import KEY, Exported, ExportRecord
from yolov9_lit.inference.export.runtimes import reason, runtime
from yolov9_lit.inference.export.tracing import traced

INPUT = "images"


@dataclass(frozen=True)
class OnnxFormat:
    """A `.onnx` file.

    Attributes:
        opset: version of ONNX's operators, 18 or later.
        simplify: let onnxslim fold and join operators.
    """

    opset: int = 18
    simplify: bool = False
    suffix: ClassVar[str] = ".onnx"

    def __post_init__(self) -> None:
        """Check the options before anything is computed."""
        yes_or_no("simplify", self.simplify)
        if whole_number("opset", self.opset) < 18:
            raise UserError(f"opset={self.opset} cannot be written: choose 18 or a later one.")

    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Export a graph; the record becomes metadata."""
        model = self.model(graph, record)
        if self.simplify:
            model = runtime("onnxslim").slim(model)
        onnx = runtime("onnx")
        _forget_origin(model)
        onnx.helper.set_model_props(model, {KEY: record.to_json()})
        onnx.save(model, path)

    def model(self, graph: nn.Module, record: ExportRecord) -> Any:
        """A graph as an `onnx.ModelProto`."""
        runtime("onnx")
        operators = getattr(runtime("onnxscript"), f"opset{self.opset}", None)
        if operators is None:
            raise UserError(f"opset={self.opset} is not known to onnxscript here: choose 18.")
        if isinstance(graph, DetectionGraph):
            graph = DetectionGraph(graph.candidates, graph.settings, opaque_suppress)
        outputs = PaddedDetections if record.nms else Candidates
        program = torch.onnx.export(
            traced(graph, record.shape),
            dynamo=True,
            opset_version=self.opset,
            input_names=[INPUT],
            output_names=outputs._fields,
            custom_translation_table=translations(operators),
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
        except Exception as error:  # onnxruntime has an exception class for each status
            raise UserError(
                f"{path} cannot be read as ONNX ({reason(error)}): export it again."
            ) from error
        properties = session.get_modelmeta().custom_metadata_map
        record = ExportRecord.from_json(properties.get(KEY), path)

        def run(images: Tensor) -> list[Tensor]:
            return [torch.from_numpy(o) for o in session.run(None, {INPUT: images.numpy()})]

        return Exported(record, run)


def _forget_origin(model: Any) -> None:
    """Drop the exporter's notes, a fourth of a small file: source paths, and shapes within."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
    for field in ("metadata_props", "value_info"):
        model.graph.ClearField(field)
