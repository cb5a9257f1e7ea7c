"""A row of figures, for all loggers of a trainer."""

from __future__ import annotations

from collections.abc import Mapping

import lightning as L


def log_row(trainer: L.Trainer, row: Mapping[str, float], step: int) -> None:
    """Log figures of the current epoch at once: a run that is killed after it has them.

    Args:
        trainer: with any loggers.
        row: figures by name.
        step: number of a batch since the training began.
    """
    for logger in trainer.loggers:
        logger.log_metrics({**row, "epoch": trainer.current_epoch}, step)
        logger.save()


def current_step(trainer: L.Trainer) -> int:
    """Return the number of the batch at which Lightning logs: also in evaluation, and resumed."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped
