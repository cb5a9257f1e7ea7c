"""Which learning rates teach: a rising one is tried, update by update (arXiv 1506.01186, 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning as L
import numpy as np

from yolov9_lit.structures import Batch
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.schedules import Setting, WarmupDecay

LOWEST, HIGHEST, UPDATES = 1e-6, 1.0, 100
"""Rates that are tried, and in how many updates."""

KEPT = 0.9
"""Share of the smoothed loss that an update keeps."""

LOST = 3.0
"""A smoothed loss that many times the least so far ends the trial."""


@dataclass(frozen=True)
class RisingRate(WarmupDecay):
    """Each update's rate is the same factor of the one before; momentum is that after the warm-up.

    The optimiser's own rate must be 1.

    Attributes:
        updates: over which the rate rises from `LOWEST` to `HIGHEST`.
    """

    updates: int = UPDATES

    def at(self, batch: int, epoch: int, *, batches: int, epochs: int, batch_size: int) -> Setting:
        """Return what holds for a batch; see `WarmupDecay.at`."""
        accumulate = self.accumulation(batch_size)
        share = (batch + batches * epoch) // accumulate / max(self.updates - 1, 1)
        rate = LOWEST * (HIGHEST / LOWEST) ** share
        return Setting(rate, 0.0, self.momentum, accumulate)


class RateTried(NamedTuple):
    """One update of a trial.

    Attributes:
        rate: of the update.
        loss: mean over the batches that follow it, up to the next update.
        smoothed: mean of the losses so far, the latest ones weighing most.
    """

    rate: float
    loss: float
    smoothed: float


class RateTrial(L.Callback):
    """Notes rates and losses, and ends the training when the rates are through or it diverges."""

    def __init__(self, updates: int = UPDATES) -> None:
        """Set after how many updates it ends."""
        self.updates = updates
        self._rates: list[float] = []
        self._means: list[float] = []
        self._losses: list[float] = []

    @property
    def tried(self) -> list[RateTried]:
        """Return the updates whose effect was seen, by rising rate."""
        losses = self._means[1:]
        smooth = smoothed(losses)
        return [
            RateTried(*row) for row in zip(self._rates[: len(losses)], losses, smooth, strict=True)
        ]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, DetectionModule)
        loss = float(outputs["losses"]["train/loss"])
        if not math.isfinite(loss):
            trainer.should_stop = True
            return
        self._losses.append(loss)
        if not pl_module.updated:
            return
        self._rates.append(trainer.optimizers[0].param_groups[-1]["lr"])
        self._means.append(sum(self._losses) / len(self._losses))
        self._losses.clear()
        smooth = smoothed(self._means[1:])
        diverged = bool(smooth) and smooth[-1] > LOST * min(smooth)
        trainer.should_stop = diverged or len(self._rates) > self.updates


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the exponential moving average of values, without a bias to its start."""
    average, found = 0.0, []
    for number, value in enumerate(values, 1):
        average = KEPT * average + (1 - KEPT) * value
        found.append(average / (1 - KEPT**number))
    return found


def suggested(tried: Sequence[RateTried]) -> float | None:
    """Return the rate at which the smoothed loss falls most steeply on the way to its least.

    Behind its least the loss goes up and down by jumps, none of which tells of learning.

    Args:
        tried: by rising rate, each the same factor of the one before; two at least.

    Returns:
        None where it never falls.
    """
    losses = np.array([one.smoothed for one in tried])
    slopes = np.gradient(losses)[: losses.argmin() + 1]
    steepest = int(slopes.argmin())
    return tried[steepest].rate if slopes[steepest] < 0 else None
