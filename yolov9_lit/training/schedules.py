"""Learning rate, momentum and accumulation by batch (YOLOv9 paper, appendix A).

A schedule is a function of the training's position alone, so that a resumed run continues exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch.optim import Optimizer

from yolov9_lit.kinds import Amount, Count, PositiveInt, Share
from yolov9_lit.training.optimizers import BIAS_GROUP

Decay = Literal["linear", "cosine", "constant"]


def decayed(decay: Decay, progress: float, final: float) -> float:
    """Return what is left after a share, 0..1, of a decay from 1 to `final`."""
    if decay == "constant":
        return 1.0
    left = 1 - progress if decay == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return final + (1 - final) * left


class Setting(NamedTuple):
    """What holds for one training batch.

    Attributes:
        lr_factor: multiplies the initial learning rate of all groups.
        bias_lr_offset: added to the biases' learning rate in the warm-up.
        momentum: for optimisers that have one.
        accumulate: batches whose gradients make one optimiser step.
    """

    lr_factor: float
    bias_lr_offset: float
    momentum: float
    accumulate: int

    def apply(self, optimizer: Optimizer) -> float:
        """Set an optimiser's learning rates and momentum; return the rate of its last group."""
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.lr_factor
            if group["name"] == BIAS_GROUP:
                group["lr"] += self.bias_lr_offset
            if "momentum" in group:
                group["momentum"] = self.momentum
        return optimizer.param_groups[-1]["lr"]


@dataclass(frozen=True)
class WarmupDecay:
    """Linear warm-up by batch, then decay by epoch to a share of the initial learning rate.

    After the warm-up's last epoch the decay runs one epoch late, as in every published training:
    the warm-up uses the rate of its own epoch, the scheduler that takes over is an epoch behind.
    Short trainings show it: of 20 epochs, the last has 0.109 of the first rate, not 0.06.

    Attributes:
        decay: "linear" as published, "cosine", or "constant".
        final_factor: the learning rate at the end, as a share of the initial one.
        warmup_epochs: length of the warm-up; 0 for none.
        min_warmup_batches: least length of the warm-up, if there is one.
        warmup_bias_lr: the biases' learning rate at the start.
        warmup_momentum: momentum at the start.
        momentum: momentum after the warm-up.
        nominal_batch: images of an optimiser step after the warm-up.
    """

    decay: Decay = "linear"
    final_factor: Share = 0.01
    warmup_epochs: Amount = 3.0
    min_warmup_batches: Count = 100
    warmup_bias_lr: Amount = 0.1
    warmup_momentum: Share = 0.8
    momentum: Share = 0.937
    nominal_batch: PositiveInt = 64

    def accumulation(self, batch_size: int) -> int:
        """Return the batches of an optimiser step after the warm-up, for batches of that size."""
        return max(round(self.nominal_batch / batch_size), 1)

    def at(self, batch: int, epoch: int, *, batches: int, epochs: int, batch_size: int) -> Setting:
        """Return what holds for a batch.

        Args:
            batch: index within the epoch.
            epoch: index of the epoch.
            batches: of one epoch.
            epochs: of the whole training.
            batch_size: images of a batch, over all devices.
        """
        seen = batch + batches * epoch
        warmup = self._warmup_batches(batches)
        late = epoch > warmup // batches
        factor = decayed(self.decay, (epoch - late) / epochs, self.final_factor)
        if seen >= warmup:
            return Setting(factor, 0.0, self.momentum, self.accumulation(batch_size))
        share = seen / warmup
        return Setting(
            lr_factor=factor * share,
            bias_lr_offset=self.warmup_bias_lr * (1 - share),
            momentum=self.warmup_momentum + share * (self.momentum - self.warmup_momentum),
            accumulate=max(round(1 + share * (self.nominal_batch / batch_size - 1)), 1),
        )

    def _warmup_batches(self, batches: int) -> int:
        if self.warmup_epochs == 0:
            return 0
        return max(round(self.warmup_epochs * batches), self.min_warmup_batches)
