"""A callback by which this package's training tells when its first step is done."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L

from benchmarks.commands import FIRST_STEP


class TellFirstStep(L.Callback):
    """Writes a line to the output."""

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Write it after the first batch."""
        if index == 0:
            sys.stdout.write(f"\n{FIRST_STEP}\n")
            sys.stdout.flush()
