"""Annotated copies of the first test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.kinds import Count, Share
from yolov9_lit.reporting.draw import draw_detections
from yolov9_lit.structures import Batch, Detections


class PredictionImages(L.Callback):
    """Draws the confident detections of the first test images on copies of them."""

    def __init__(self, directory: str | Path, count: Count = 8, confidence: Share = 0.25) -> None:
        """Set what is drawn.

        Args:
            directory: folder of the copies, created when needed.
            count: most images to draw.
            confidence: least score to draw, 0..1.
        """
        self.directory = Path(directory)
        self.count = count
        self.confidence = confidence
        self._drawn = 0
        self._names: set[str] = set()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._drawn = 0
        self._names.clear()

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
        data: DetectionDataModule = trainer.datamodule  # type: ignore[attr-defined]
        left = self.count - self._drawn
        for info, found in list(zip(batch.infos, outputs["detections"], strict=True))[:left]:
            confident = Detections(*(t[found.scores >= self.confidence].cpu() for t in found))
            image = draw_detections(data.test_image(info.image_id), confident, data.class_names)
            self.directory.mkdir(parents=True, exist_ok=True)
            # Images of other folders may have the same name.
            stem = Path(info.path).stem
            name = f"{stem}_{info.image_id}" if stem in self._names else stem
            self._names.add(stem)
            Image.fromarray(image).save(self.directory / f"{name}.jpg", quality=92)
            self._drawn += 1
