"""Run exported files with the preprocessing and the detections of a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.data.letterbox import GREY
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings, suppressed
from yolov9_lit.inference.export.format import Exported, find_format, reason
from yolov9_lit.inference.export.outputs import Outputs
from yolov9_lit.inference.images import MOST_ON_CPU, ImagePredictor, unit_range
from yolov9_lit.structures import Candidates, Detections

log = logging.getLogger(__name__)


class ExportedPredictor(ImagePredictor):
    """An exported file; it computes on the CPU.

    Attributes:
        file: the file, opened.
    """

    def __init__(self, file: Exported) -> None:
        super().__init__(file.record.card, file.record.shape.image)
        self.file = file

    @property
    def finds_masks(self) -> bool:
        """Return whether detections have masks."""
        return self.file.record.task == "segment"

    def deploy(self, head: str | None = None) -> ExportedPredictor:
        """Return the predictor itself: an exported file is deployed.

        Raises:
            UserError: a head is named.
        """
        if head is not None:
            raise UserError(f"head={head}: an exported file has the main head only, leave it out.")
        return self

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Outputs:
        """Return the file's outputs for images (B, 3, H, W) in 0..1 of any batch size.

        Raises:
            UserError: the file cannot be run, or its outputs are not those of its record.
        """
        record = self.file.record
        try:
            parts = list(self.file.run(self._batches(images.cpu())))
        except Exception as error:  # Each runtime has classes of its own.
            raise UserError(
                f"The exported file does not take images of shape {tuple(images.shape)}: "
                f"{reason(error)}."
            ) from error
        if any(len(part) != len(record.outputs) for part in parts):
            raise UserError(
                f"The exported file has {len(parts[0])} outputs, not {', '.join(record.outputs)}: "
                "export it again."
            )
        joined = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
        return record.named(tensor[: len(images)] for tensor in joined)

    def _batches(self, images: Tensor) -> list[Tensor]:
        """Return batches of the size that the file takes, the last one filled up with black."""
        size = self.file.record.shape.batch or len(images)
        return [
            _padded(batch, (0, 0) * 3 + (0, size - len(batch)), 0).contiguous()
            for batch in images.split(size)
        ]

    def detect(self, images: Tensor, settings: NMSSettings) -> list[Detections]:
        """Detect objects in inputs; what NMS inside the file has dropped stays dropped."""
        batch = self.file.record.shape.batch or 1
        pieces = images.split(batch * max(MOST_ON_CPU // batch, 1))  # Of whole batches.
        return [found for piece in pieces for found in self._detect_piece(piece, settings)]

    def _detect_piece(self, images: Tensor, settings: NMSSettings) -> list[Detections]:
        outputs = self(self._large_enough(unit_range(images.contiguous())))
        if isinstance(outputs, Candidates):
            return suppressed(outputs, settings)
        wanted = (outputs.scores > settings.confidence).sum(dim=1).minimum(outputs.counts)
        return [
            outputs.best(image, min(count, settings.max_detections))
            for image, count in enumerate(wanted.tolist())
        ]

    def _large_enough(self, images: Tensor) -> Tensor:
        """Pad with grey on the right and below, which moves no box, to the file's smallest side."""
        rows, columns = (max(self.file.least_side - side, 0) for side in images.shape[2:])
        return _padded(images, (0, columns, 0, rows), GREY / 255)


def _padded(images: Tensor, widths: tuple[int, ...], value: float) -> Tensor:
    """Pad as `F.pad`, which would copy where there is nothing to pad."""
    return F.pad(images, widths, value=value) if any(widths) else images


def open_exported(path: str | Path) -> ExportedPredictor | None:
    """Open an exported file; return None if its ending is not that of an exported file.

    Raises:
        UserError: it does not exist, is damaged, has no record, or its runtime is not installed.
    """
    path = Path(path)
    if (form := find_format(path)) is None:
        return None
    if not path.is_file():
        raise UserError(f"There is no file {path}: give one that yolov9_lit.export wrote.")
    file = form.read(path)
    if (nms := file.record.nms) is not None:
        log.warning(
            "%s has NMS inside: confidence %g, IoU %g, one label a box, at most %d detections; "
            "other settings can only take away from these",
            *(path, nms.confidence, nms.iou, nms.max_detections),
        )
    return ExportedPredictor(file).eval()
