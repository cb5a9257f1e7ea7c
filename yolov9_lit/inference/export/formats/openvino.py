"""OpenVINO files: converted from ONNX, run by OpenVINO on the CPU."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.format import (
    KEY,
    Exported,
    ExportFormat,
    ExportRecord,
    reason,
    runtime,
)
from yolov9_lit.inference.export.formats.onnx import OnnxFormat


class OpenVinoFormat(ExportFormat):
    """A `.xml` file, with its weights beside it in the `.bin` file of the same name."""

    suffix: ClassVar[str] = ".xml"

    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Write a graph, with the record in the runtime information."""
        openvino = runtime("openvino")
        with tempfile.TemporaryDirectory() as folder:
            onnx_file = Path(folder) / "model.onnx"
            OnnxFormat().write(graph, record, onnx_file)
            model = openvino.convert_model(onnx_file)
        model.set_rt_info(record.to_json(), [KEY])
        openvino.save_model(model, path, compress_to_fp16=record.half)

    @staticmethod
    def read(path: Path) -> Exported:
        """Open a file to compute in float32, even if the processor has faster types."""
        openvino = runtime("openvino")
        with path.open("rb") as file:
            head = file.read(1000)
        if b"<net" not in head:  # Otherwise OpenVINO tries all formats that it knows.
            raise UserError(f"{path} cannot be read as OpenVINO (no network): export it again.")
        if not (weights := path.with_suffix(".bin")).is_file():
            raise UserError(f"{path} lacks its weights: put {weights.name} beside it.")
        try:
            model = openvino.Core().read_model(path)
            compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            raise UserError(
                f"{path} cannot be read as OpenVINO ({reason(error)}): export it again."
            ) from error
        text = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None
        record = ExportRecord.from_json(text, path)

        def run(images: Tensor) -> list[Tensor]:
            found = compiled(images.numpy(), share_inputs=True)  # The outputs are copies.
            return [torch.from_numpy(found[output]) for output in compiled.outputs]

        return Exported(record, run)
