"""Post-training quantization of an ONNX graph's convolutions to int8, by onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from yolov9_lit.inference.export.format import runtime


def quantized(model: Any, name: str, images: Iterable[np.ndarray]) -> Any:
    """Quantize the weights and activations of convolutions; all else stays float32.

    That is: activations between the convolutions, the decoding of boxes (DFL) and scores, NMS.
    Weights have a scale for each channel, activations one for each tensor, from the least and
    the largest value seen.

    Args:
        model: an `onnx.ModelProto`.
        name: of its input.
        images: inputs (B, 3, H, W) float32.

    Returns:
        An `onnx.ModelProto` whose convolutions stand between QuantizeLinear and DequantizeLinear.
    """
    onnx, quantization = runtime("onnx"), runtime("onnxruntime.quantization")
    inputs = iter(images)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined]
        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(inputs, None)
            return None if image is None else {name: image}

    with tempfile.TemporaryDirectory() as folder:
        plain, out = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        # It would warn that nothing was folded before, which torch's exporter has done.
        runtime("onnxruntime.quantization.quant_utils").add_pre_process_metadata(model)
        onnx.save(model, plain)
        quantization.quantize_static(
            *(plain, out, Reader()),
            op_types_to_quantize=["Conv"],
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )
        return onnx.load(out)
