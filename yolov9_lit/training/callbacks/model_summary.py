"""The model's parameters and GFLOPs at the start of training."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from yolov9_lit.research.cost import detector_cost
from yolov9_lit.research.tables import cost_table
from yolov9_lit.training.evaluation import EvaluationModule


class DetectorSummary(L.Callback):
    """Prints the parameters by part, as trained and deployed."""

    def __init__(self, image_size: int = 640) -> None:
        """Set the image's side in pixels for the GFLOPs; 640 as in the paper's tables."""
        self.image_size = image_size

    @rank_zero_only
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print."""
        assert isinstance(pl_module, EvaluationModule)
        in_channels = next(pl_module.detector.parameters()).shape[1]
        cost = detector_cost(pl_module.detector, self.image_size, in_channels)
        Console().print(cost_table(cost, self.image_size))
