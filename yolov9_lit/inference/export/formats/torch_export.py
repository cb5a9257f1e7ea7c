"""Files of `torch.export`, the input of torch's compilers and AOTInductor."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar
from zipfile import BadZipFile, ZipFile

import torch
import torchvision  # noqa: F401  (the operator of a file with NMS inside)
from torch import nn

from yolov9_lit.data.letterbox import STRIDE
from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.format import KEY, Exported, ExportFormat, ExportRecord, reason
from yolov9_lit.inference.export.graph import LEAST_OPEN_SIDE, traced


class TorchExportFormat(ExportFormat):
    """A `.pt2` file."""

    suffix: ClassVar[str] = ".pt2"

    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Write a traced graph, with the record as an extra file."""
        extra = {KEY: record.to_json()}
        torch.export.save(traced(graph, record.shape), path, extra_files=extra)

    @staticmethod
    def read(path: Path) -> Exported:
        """Open a file on the CPU."""
        extra = {KEY: ""}
        try:
            _look_inside(path)
            program = torch.export.load(path, extra_files=extra)
        except (RuntimeError, ValueError, OSError, BadZipFile) as error:
            raise UserError(
                f"{path} cannot be read as torch.export ({reason(error)}): export it again."
            ) from error
        record = ExportRecord.from_json(extra[KEY], path)
        least = STRIDE if record.shape.image else LEAST_OPEN_SIDE
        return Exported(record, partial(map, program.module()), least)


def _look_inside(path: Path) -> None:
    """Refuse other archives: torch's reader would log a traceback first."""
    with ZipFile(path) as archive:
        if not any(Path(name).name == "archive_format" for name in archive.namelist()):
            raise ValueError("it holds no exported program")
