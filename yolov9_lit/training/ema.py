"""Exponential moving average of the weights, used for evaluation and kept in checkpoints."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from yolov9_lit.kinds import PositiveFloat, Share


class EMA(WeightAveraging):
    """Lightning's weight averaging with the published ramp: decay x (1 - exp(-updates / tau)).

    Lightning evaluates the averaged weights and stores them under the checkpoint's "state_dict",
    the trained ones under "current_model_state".
    """

    def __init__(self, decay: Share = 0.9999, tau: PositiveFloat = 2000.0) -> None:
        """Set the ramp.

        Args:
            decay: share of the old average that a late update keeps, in 0..1.
            tau: optimiser steps after which the decay has reached 63 % of its final value.
        """
        self.decay = decay
        self.tau = tau
        super().__init__(avg_fn=self._average)

    @torch.no_grad()
    def _average(self, averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():
            return current
        count = torch.as_tensor(updates, device=averaged.device) + 1
        decay = self.decay * (1 - torch.exp(-count / self.tau))
        return current + (averaged - current) * decay

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # Lightning's own would load the trained weights also for a test in the same process.
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
