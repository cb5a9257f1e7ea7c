"""The checkpoint to resume from: at each epoch's end, and at times in between."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from yolov9_lit.kinds import Amount
from yolov9_lit.training.module import DetectionModule


class LastCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` whatever the best is: Lightning's `save_last` is no newer than the best.

    Within an epoch it is written right after an update of the weights. No gradient is half
    accumulated then, and a resumed run ends with the same weights as an uninterrupted one.
    Lightning's own `train_time_interval` has no effect under manual optimisation.
    """

    def __init__(self, dirpath: str | Path, minutes: Amount | None = None) -> None:
        """Set place and time.

        Args:
            dirpath: folder of `last.ckpt`.
            minutes: time between two checkpoints within an epoch; None for none there.
        """
        super().__init__(
            dirpath,
            filename=self.CHECKPOINT_NAME_LAST,
            save_on_train_epoch_end=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.minutes = minutes
        self._written = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, DetectionModule)
        # The last batch's checkpoint is that of the epoch's end.
        if self.minutes is None or trainer.is_last_batch or not pl_module.updated:
            return
        due = time.monotonic() - self._written >= 60 * self.minutes
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            trainer.save_checkpoint(self.format_checkpoint_name({}))
            self._written = time.monotonic()
