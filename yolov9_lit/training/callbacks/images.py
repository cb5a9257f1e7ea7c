"""Annotated copies of the first test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from yolov9_lit.evaluation.analysis.drawing import draw_image
from yolov9_lit.kinds import Count, Share
from yolov9_lit.structures import Batch
from yolov9_lit.training.callbacks.report import compared_in_test


class PredictionImages(L.Callback):
    """Draws the confident detections of the first test images, and the truth, on copies of them."""

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
        self._paths: dict[int, str] = {}

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._paths.clear()

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
        left = self.count - len(self._paths)
        self._paths |= {info.image_id: info.path for info in batch.infos[:left]}

    @rank_zero_only
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._paths:
            return
        compared = compared_in_test(trainer, pl_module, self._paths)
        self.directory.mkdir(parents=True, exist_ok=True)
        names: set[str] = set()
        for image_id, path in self._paths.items():
            # Images of other folders may have the same name.
            stem = Path(path).stem
            name = f"{stem}_{image_id}" if stem in names else stem
            names.add(stem)
            drawn = draw_image(compared, image_id, self.confidence)
            Image.fromarray(drawn).save(self.directory / f"{name}.jpg", quality=92)
