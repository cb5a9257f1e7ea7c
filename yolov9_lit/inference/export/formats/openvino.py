"""OpenVINO files: converted from ONNX, run by OpenVINO on the CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.format import (
    KEY,
    Exported,
    ExportRecord,
    Int8Format,
    reason,
    runtime,
)
from yolov9_lit.inference.export.formats.onnx import OnnxFormat


class OpenVinoFormat(Int8Format):
    """A `.xml` file, with its weights beside it in the `.bin` file of the same name."""

    suffix: ClassVar[str] = ".xml"
    beside: ClassVar[tuple[str, ...]] = (".bin",)

    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Write a graph, with the record in the runtime information."""
        self._convert(partial(OnnxFormat().write, graph, record), record, path)

    def write_int8(
        self, graph: nn.Module, record: ExportRecord, path: Path, images: Iterable[np.ndarray]
    ) -> None:
        """Write a graph with quantized convolutions, likewise."""
        write = partial(OnnxFormat().write_int8, graph, record, images=images)
        self._convert(write, record, path)

    @staticmethod
    def _convert(write: Callable[[Path], None], record: ExportRecord, path: Path) -> None:
        """Write ONNX, and convert it."""
        openvino = runtime("openvino")
        with tempfile.TemporaryDirectory() as folder:
            onnx_file = Path(folder) / "model.onnx"
            write(onnx_file)
            model = openvino.convert_model(onnx_file)
        model.set_rt_info(record.to_json(), [KEY])
        openvino.save_model(model, path, compress_to_fp16=record.half)

    @staticmethod
    def read(path: Path) -> Exported:
        """Open a file on the CPU."""
        openvino = runtime("openvino")
        with path.open("rb") as file:
            head = file.read(1000)
        if b"<net" not in head:  # Otherwise OpenVINO tries all formats that it knows.
            raise UserError(f"{path} cannot be read as OpenVINO (no network): export it again.")
        if not (weights := path.with_suffix(".bin")).is_file():
            raise UserError(f"{path} lacks its weights: put {weights.name} beside it.")
        try:
            model = openvino.Core().read_model(path)
        except RuntimeError as error:
            raise UserError(
                f"{path} cannot be read as OpenVINO ({reason(error)}): export it again."
            ) from error
        text = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else None
        return Exported(ExportRecord.from_json(text, path), _Compiled(openvino, model))


class _Compiled:
    """Runs a model: one batch by all cores together, several at the same time by some cores each.

    In the second way a core that also reads or draws holds up its own batch only. Each way is
    compiled when it is first asked for.
    """

    def __init__(self, openvino: Any, model: Any) -> None:
        self.openvino, self.model = openvino, model

    def __call__(self, batches: Sequence[Tensor]) -> list[list[Tensor]]:
        if len(batches) == 1:
            self._together.infer([batches[0].numpy()], share_inputs=True)
            return [_outputs(self._together)]
        found: dict[int, list[Tensor]] = {}
        self._beside.set_callback(lambda request, index: found.update({index: _outputs(request)}))
        for index, images in enumerate(batches):
            self._beside.start_async([images.numpy()], index, share_inputs=True)
        self._beside.wait_all()
        return [found[index] for index in range(len(batches))]

    @cached_property
    def _together(self) -> Any:
        return self._compile("LATENCY").create_infer_request()

    @cached_property
    def _beside(self) -> Any:
        return self.openvino.AsyncInferQueue(self._compile("THROUGHPUT"))

    def _compile(self, hint: str) -> Any:
        """Compile for float32, even if the processor has faster types."""
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": hint}
        return self.openvino.compile_model(self.model, "CPU", settings)


def _outputs(request: Any) -> list[Tensor]:
    """Copy what the next run of a request would overwrite."""
    return [torch.from_numpy(tensor.data.copy()) for tensor in request.output_tensors]
