"""The rows of metrics that a training writes: learning rate, and by epoch losses and cost."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import psutil
import torch
from torch import Tensor

from yolov9_lit.structures import Batch
from yolov9_lit.training.loggers.rows import log_row
from yolov9_lit.training.module import DetectionModule

log = logging.getLogger(__name__)

MUCH_WAITING = 0.2
"""Share of a training in which it waits for data, above which these are said to limit it."""

LIMITS = {
    True: "The data limit the training: more data.num_workers, data.cache=ram with more of "
    "data.cache_gb, or a faster disk make it faster",
    False: "The device limits the training: compile=blocks or, on a GPU, trainer.precision=mixed "
    "make it faster",
}
"""What to tell of a training, by whether it waits for data much."""


class EpochLog(L.Callback):
    """Logs the learning rate every few batches and, by epoch, mean losses, seconds and memory.

    Lightning logs an epoch after its checkpoint is written, and its running means are not in
    checkpoints. Here an epoch is logged before, and a checkpoint keeps what was summed up so far:
    a run that is killed at any moment and resumed logs what an uninterrupted one does.

    Losses are means over the samples that this process saw. Waiting is the share of an epoch's time
    in which the next batch was not there yet; where it is large, that is told at the end. Memory is
    the peak of the CUDA allocator or, without CUDA, the largest resident memory of this process
    after a batch.

    Attributes:
        begun: whether there was an epoch to train.
        seconds: of each finished epoch, validation excluded.
        peak_mb: largest memory in use so far.
    """

    def __init__(self) -> None:
        self.begun = False
        self.seconds: list[float] = []
        self.peak_mb = 0.0
        self._sums: dict[str, Tensor] = {}
        self._samples = 0
        self._began = 0.0
        self._before = 0.0  # seconds of this epoch before an interruption
        self._last = 0.0  # when this epoch's latest batch was done
        self._waiting = 0.0
        self._shares: list[float] = []

    @property
    def state_key(self) -> str:
        """Key of the state in checkpoints: the callback's name in earlier versions."""
        return "EpochCost"

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median over the finished epochs; None before the first has ended."""
        return statistics.median(self.seconds) if self.seconds else None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begun = True
        self._begin_epoch()  # A run resumed in mid-epoch has no start of its epoch.

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if pl_module.device.type == "cuda":  # Forget the evaluation's peak.
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        self._before = 0.0
        self._begin_epoch()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._waiting += time.monotonic() - self._last

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, DetectionModule)
        self._add(outputs["losses"], len(batch.images))
        self.peak_mb = max(self.peak_mb, _used_bytes(pl_module.device) / 2**20)
        if trainer.is_last_batch:  # Validation comes next.
            self.seconds.append(self._elapsed())
            self._shares.append(self._waiting / (time.monotonic() - self._began))
        position = pl_module.position(batch_idx)
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (position + 1) % every == 0:
            log_row(trainer, {"lr": trainer.optimizers[0].param_groups[-1]["lr"]}, position)
        self._last = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DetectionModule)
        row = {name: float(total) / self._samples for name, total in self._sums.items()}
        self._sums, self._samples = {}, 0
        if trainer.is_last_batch:  # Not where the training was stopped within the epoch.
            row |= {"cost/seconds": self.seconds[-1], "cost/memory_mb": self.peak_mb}
            row |= {"cost/waiting": self._shares[-1]}
        pl_module.log_dict(row, logger=False)  # for callbacks that monitor a loss
        log_row(trainer, row, pl_module.position(int(trainer.num_training_batches) - 1))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        share = statistics.median(self._shares or [0.0])
        if share > MUCH_WAITING:
            log.info("%.0f %% of the time went into waiting. %s", 100 * share, LIMITS[True])

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "elapsed": self._elapsed(), "peak_mb": self.peak_mb}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = list(state_dict["seconds"])
        self.peak_mb = state_dict["peak_mb"]
        self._before = state_dict.get("elapsed", 0.0)  # absent from the oldest checkpoints

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["train_means"] = {"sums": dict(self._sums), "samples": self._samples}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if means := checkpoint.get("train_means"):  # absent from the oldest checkpoints
            self._sums, self._samples = dict(means["sums"]), means["samples"]

    def _add(self, losses: Mapping[str, Tensor], samples: int) -> None:
        """Add a batch's mean losses, each a scalar, to the epoch's sums."""
        for name, value in losses.items():
            term = value.float() * samples
            self._sums[name] = self._sums[name].to(term) + term if name in self._sums else term
        self._samples += samples

    def _begin_epoch(self) -> None:
        self._began = self._last = time.monotonic()
        self._waiting = 0.0

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._began


def _used_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return psutil.Process().memory_info().rss
