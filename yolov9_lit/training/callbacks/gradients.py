"""What each branch's gradient does in the stages that branches share, over a training."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd

from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write
from yolov9_lit.kinds import AnyPath, PositiveInt
from yolov9_lit.structures import Batch
from yolov9_lit.training.gradient_plots import plot_epochs
from yolov9_lit.training.gradients import Measure, branch_gradients, measure, undisturbed
from yolov9_lit.training.loggers.rows import current_step, log_row
from yolov9_lit.training.module import DetectionModule

log = logging.getLogger(__name__)

COLUMNS = ["epoch", "stage", "branch", "quantity", "value"]


class BranchGradients(L.Callback):
    """Measures gradients after epochs, on the last batches of each, and changes nothing else.

    Writes means over the batches to `gradients.csv` and to the loggers, and at the end
    `gradients.png`. A run that goes on keeps the rows of the epochs before.
    """

    def __init__(
        self,
        directory: AnyPath,
        batches: PositiveInt = 4,
        reference: PositiveInt = 8,
        every_n_epochs: PositiveInt = 1,
    ) -> None:
        """Set what is measured.

        Args:
            directory: of the run.
            batches: number of batches that are measured.
            reference: number of further batches whose summed gradient they are compared with.
            every_n_epochs: epochs from one measurement to the next; the first epoch has one.
        """
        self.path = Path(directory) / "gradients.csv"
        self.batches = batches
        self.reference = reference
        self.every_n_epochs = every_n_epochs
        self._latest: deque[Batch] = deque(maxlen=batches + reference)
        self._began = 0.0
        self._seconds = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.world_size > 1:
            raise UserError(
                "callbacks=gradients measures a training on one device, and this one has "
                f"{trainer.world_size}: give trainer.devices=1, or measure its checkpoint with "
                "python -m yolov9_lit.figures figure=gradients."
            )
        needed = self.batches + self.reference
        if trainer.num_training_batches < needed:
            raise UserError(
                f"callbacks.gradients needs {needed} batches in an epoch, and this training has "
                f"{trainer.num_training_batches}: lower callbacks.gradients.batches or "
                "callbacks.gradients.reference."
            )
        if str(trainer.precision).startswith("bf16"):
            log.warning(
                "Gradients in trainer.precision=%s are mostly rounding while a model is fresh: "
                "give trainer.precision=32-true to measure them.",
                trainer.precision,
            )
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._latest.clear()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        if self._is_due(trainer) and batch.infos:
            self._latest.append(batch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._is_due(trainer):
            return
        if len(self._latest) < self.batches + self.reference:
            log.warning(
                "No gradients are measured in epoch %d: %d batches of it were at hand, %d needed",
                trainer.current_epoch,
                len(self._latest),
                self.batches + self.reference,
            )
            return
        assert isinstance(pl_module, DetectionModule)
        began = time.perf_counter()
        means = self._means(trainer, pl_module)
        self._latest.clear()
        write_epoch(self.path, means.assign(epoch=trainer.current_epoch)[COLUMNS])
        known = means.dropna()
        names = "gradients/" + known["stage"] + "/" + known["branch"] + "/" + known["quantity"]
        log_row(trainer, dict(zip(names, known["value"], strict=True)), current_step(trainer))
        self._seconds += time.perf_counter() - began

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.path.is_file():
            plot_epochs(pd.read_csv(self.path), self.path.with_suffix(".png"))
        whole = time.perf_counter() - self._began
        log.info("gradients: %.0f s of %.0f", self._seconds, whole)

    def _is_due(self, trainer: L.Trainer) -> bool:
        return trainer.current_epoch % self.every_n_epochs == 0

    def _means(self, trainer: L.Trainer, module: DetectionModule) -> pd.DataFrame:
        """Return the means over the batches in which a quantity could be measured."""
        latest = list(self._latest)
        # In float16 small gradients would be zero without the scale of losses: then in float32.
        half = trainer.precision == "16-mixed"
        autocast = nullcontext if half else trainer.precision_plugin.forward_context
        with undisturbed(module):
            found = measure(
                lambda batch: branch_gradients(module.detector, module.loss, batch, autocast),
                latest[: self.batches],
                latest[self.batches :],
            )
        frame = pd.DataFrame([m for measures in found for m in measures], columns=Measure._fields)
        keys = ["stage", "branch", "quantity"]
        return frame.groupby(keys, sort=False)[["value"]].mean().reset_index()


def write_epoch(path: Path, rows: pd.DataFrame) -> None:
    """Add an epoch's rows, in place of those that a continued run has of it or later ones."""
    if path.is_file():
        before = pd.read_csv(path)
        kept = before[before["epoch"] < rows["epoch"].iloc[0]]
        rows = pd.concat([kept, rows]) if len(kept) else rows
    with atomic_write(path) as part:
        rows.to_csv(part, index=False)
