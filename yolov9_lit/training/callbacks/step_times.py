"""Where the time of a training step goes, by its parts."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from typing import Any

import lightning as L
import torch

from yolov9_lit.training.callbacks.epoch_log import LIMITS, MUCH_WAITING
from yolov9_lit.training.module import DetectionModule

log = logging.getLogger(__name__)

UNTIMED = 3
"""Steps at the start that are not counted: memory is allocated in them, kernels are chosen."""


class StepTimes(L.Callback):
    """Times the parts of each step, and tells their shares at the end.

    The parts: waiting for data; forward; loss; logging of it; backward; update, by the optimiser
    after clipping and of the averaged weights. A CUDA device is waited for after each part: the
    step takes longer than usual, and the shares are true. Where model and loss are compiled to one
    graph, forward, loss and logging are one part. Validation is not counted.

    Attributes:
        seconds: by part, of the steps that are counted.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._steps = 0
        self._hooks: list[Any] = []
        self._comparing = False  # From the batch to the backward pass: validation has a loss, too.
        self._parted = False  # Whether forward and loss are: not in one graph.
        self._last = 0.0
        self._cuda = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DetectionModule)
        self._cuda = pl_module.device.type == "cuda"
        self._hooks = [
            pl_module.loss.register_forward_pre_hook(lambda *_: self._end_within("forward")),
            pl_module.loss.register_forward_hook(lambda *_: self._end_within("loss")),
        ]

    def on_train_epoch_start(self, *_: Any) -> None:
        self._last = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        self._steps += 1
        self._end("waiting for data")
        self._comparing, self._parted = True, False

    def on_before_backward(self, *_: Any) -> None:
        self._end("logging" if self._parted else "forward, loss and logging")
        self._comparing = False

    def on_after_backward(self, *_: Any) -> None:
        self._end("backward")

    def on_train_batch_end(self, *_: Any) -> None:
        self._end("update")

    def on_train_end(self, *_: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        total = sum(self.seconds.values())
        if not total:
            log.warning("The parts of a step were not timed: %d steps are needed", UNTIMED + 1)
            return
        shares = {part: seconds / total for part, seconds in self.seconds.items()}
        told = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
        log.info("Of %.3f s a step: %s", total / (self._steps - UNTIMED), told)
        log.info(LIMITS[shares["waiting for data"] > MUCH_WAITING])

    def _end_within(self, part: str) -> None:
        if self._comparing and not torch.compiler.is_compiling():
            self._parted = True
            self._end(part)

    def _end(self, part: str) -> None:
        """Count the time since the part before ended."""
        if self._cuda:
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._steps > UNTIMED:
            self.seconds[part] += now - self._last
        self._last = now
