"""The checkpoint to go on from: of each epoch's end, and of times in between."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from yolov9_lit.training.module import DetectionModule


class LastCheckpoint(ModelCheckpoint):
    """Keeps `last.ckpt` new, apart from the best: Lightning's `save_last` is no newer than that.

    Within an epoch it is written right after an update of the weights. Then no gradient is half
    accumulated, and a run that goes on from it ends with the same weights as one that was never
    interrupted. Lightning's own `train_time_interval` does nothing under manual optimisation.
    """

    def __init__(self, dirpath: str | Path, minutes: float | None = None) -> None:
        """Set when.

        Args:
            dirpath: folder of `last.ckpt`.
            minutes: time after which one is written within an epoch; None for never.
        """
        super().__init__(
            dirpath,
            filename=self.CHECKPOINT_NAME_LAST,
            save_on_train_epoch_end=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.minutes = minutes
        self._written = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._written = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write when it is time; the last batch's checkpoint is that of the epoch's end."""
        assert isinstance(pl_module, DetectionModule)
        if self.minutes is None or trainer.is_last_batch or not pl_module.updated_at(batch_idx):
            return
        due = time.monotonic() - self._written >= 60 * self.minutes
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            trainer.save_checkpoint(self.format_checkpoint_name({}))
            self._written = time.monotonic()
