"""A graph as `torch.export` sees it, with the input's open sizes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from yolov9_lit.data.letterbox import STRIDE
from yolov9_lit.inference.export.record import InputShape

LEAST_OPEN_SIDE = 2 * STRIDE
"""Of an open height or width in pixels: `torch.export` takes a size of 1 for a constant."""


def example_images(shape: InputShape) -> Tensor:
    """Images (B, 3, H, W) of a shape.

    Where it is open all sizes differ, lest a tracer takes two of them for the same.
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
