"""Annotated images of the first test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.reporting.draw import draw_detections
from yolov9_lit.structures import Batch, Detections


class PredictionImages(L.Callback):
    """Draws the confident detections of the first test images on copies of them."""

    def __init__(self, directory: str | Path, count: int = 8, confidence: float = 0.25) -> None:
        """Set what is drawn.

        Args:
            directory: for the images, made when needed.
            count: most images.
            confidence: least score drawn, 0..1.
        """
        self.directory = Path(directory)
        self.count = count
        self.confidence = confidence
        self._drawn = 0

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin anew."""
        self._drawn = 0

    @rank_zero_only
    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw, until there are enough."""
        data: DetectionDataModule = trainer.datamodule  # type: ignore[attr-defined]
        for info, detections in zip(batch.infos, outputs["detections"], strict=True):
            if self._drawn >= self.count:
                return
            image = data.test_image(info.image_id)
            self._draw(image, Path(info.path).stem, detections, data.class_names)
            self._drawn += 1

    def _draw(
        self, image: np.ndarray, name: str, detections: Detections, classes: Sequence[str]
    ) -> None:
        confident = detections.scores >= self.confidence
        kept = Detections(*(t[confident].cpu() for t in detections))
        self.directory.mkdir(parents=True, exist_ok=True)
        drawn = Image.fromarray(draw_detections(image, kept, classes))
        drawn.save(self.directory / f"{name}.jpg", quality=92)
