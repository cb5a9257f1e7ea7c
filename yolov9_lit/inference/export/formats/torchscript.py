"""TorchScript files, which torch runs without Python."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
import torchvision  # noqa: F401  (the operator of a file with NMS inside)
from torch import nn

from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.format import KEY, Exported, ExportFormat, ExportRecord, reason
from yolov9_lit.inference.export.graph import example_images


class TorchScriptFormat(ExportFormat):
    """A `.torchscript` file."""

    suffix: ClassVar[str] = ".torchscript"

    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Write a traced graph, with the record as an extra file."""
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated in favour of torch.export
            script = torch.jit.trace(graph, example_images(record.shape), check_trace=False)
            torch.jit.save(script, path, _extra_files={KEY: record.to_json()})

    @staticmethod
    def read(path: Path) -> Exported:
        """Open a file on the CPU."""
        extra = {KEY: ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                script = torch.jit.load(path, map_location="cpu", _extra_files=extra)
        except RuntimeError as error:
            raise UserError(
                f"{path} cannot be read as TorchScript ({reason(error)}): export it again."
            ) from error
        return Exported(ExportRecord.from_json(extra[KEY], path), partial(map, script))
