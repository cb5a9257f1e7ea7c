"""The model's parameters and GFLOPs at the start of training."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from yolov9_lit.models.cost import IMAGE_SIZE, cost_table
from yolov9_lit.reporting.console import console
from yolov9_lit.training.module import DetectionModule


class DetectorSummary(L.Callback):
    """Prints parameters and GFLOPs by part, as trained and as deployed."""

    @rank_zero_only
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DetectionModule)
        console().print(cost_table(pl_module.cost, IMAGE_SIZE))
