"""What an epoch of training costs: seconds and memory."""

from __future__ import annotations

import statistics
import time
from typing import Any

import lightning as L
import psutil
import torch


class EpochCost(L.Callback):
    """Logs each training epoch's seconds and peak memory; both survive a resume.

    Memory is what the allocator of the CUDA device held at most, or the resident memory of this
    process, looked at after each batch, where there is none.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.peak_mb = 0.0
        self._began = 0.0
        self._before = 0.0

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median over the epochs, evaluation not counted; None before the first has ended."""
        return statistics.median(self.seconds) if self.seconds else None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock where a run goes on in the middle of an epoch."""
        self._began = time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and forget what an evaluation held."""
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        self._began, self._before = time.monotonic(), 0.0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look at the memory, and after the epoch's last batch, before validation, at the clock."""
        device = pl_module.device
        if device.type == "cuda":
            used = torch.cuda.max_memory_allocated(device)
        else:
            used = psutil.Process().memory_info().rss
        self.peak_mb = max(self.peak_mb, used / 2**20)
        if trainer.is_last_batch:
            self.seconds.append(self._elapsed())
            figures = {"cost/seconds": self.seconds[-1], "cost/memory_mb": self.peak_mb}
            # The module logs them with the epoch's losses.
            pl_module.log_dict(figures, on_step=False, on_epoch=True, batch_size=1, logger=False)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"seconds": self.seconds, "elapsed": self._elapsed(), "peak_mb": self.peak_mb}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.seconds = list(state_dict["seconds"])
        self._before = state_dict.get("elapsed", 0.0)  # Once it was not kept.
        self.peak_mb = state_dict["peak_mb"]

    def _elapsed(self) -> float:
        """Seconds that this epoch has taken, before an interruption and after it."""
        return self._before + time.monotonic() - self._began
