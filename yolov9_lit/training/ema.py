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
        super().__init__(multi_avg_fn=self._average)

    @torch.no_grad()
    def _average(
        self, averaged: list[Tensor], current: list[Tensor], updates: Tensor | int
    ) -> None:
        """Move averages of one device and type on by an update, all at once; counts are taken."""
        if not averaged[0].is_floating_point():
            torch._foreach_copy_(averaged, current)
            return
        count = torch.as_tensor(updates, device=averaged[0].device) + 1
        decay = self.decay * (1 - torch.exp(-count / self.tau))
        torch._foreach_sub_(averaged, current)
        torch._foreach_mul_(averaged, decay)
        torch._foreach_add_(averaged, current)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # Lightning's own would load the trained weights also for a test in the same process.
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
