"""End a training whose loss or weights are not finite, before a checkpoint is written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from yolov9_lit.errors import UserError

if TYPE_CHECKING:  # Every command imports this module, before it knows what it needs.
    import lightning as L
    from torch import Tensor


class DivergedError(UserError):
    """The training diverged; the message names the place and how to continue."""


def require_finite(tensors: Iterable[Tensor], what: str, trainer: L.Trainer) -> None:
    """End a training that has diverged.

    Args:
        tensors: losses or weights.
        what: what they are, and since when, for the sentence.
        trainer: of the training, on all ranks.

    Raises:
        DivergedError: a value is not finite, on any rank.
    """
    finite = all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())
    if trainer.world_size > 1:
        finite = trainer.strategy.reduce_boolean_decision(finite)
    if finite:
        return
    written = [getattr(c, "best_model_path", "") for c in trainer.checkpoint_callbacks]
    sound = [path for path in written if path and Path(path).is_file()]
    raise DivergedError(
        f"The training diverged: {what} of epoch {trainer.current_epoch + 1} of "
        f"{trainer.max_epochs} is not finite: give a lower optimizer.lr, a smaller "
        "optimizer.clip_norm or trainer.precision=32-true in another folder"
        + (
            f", where ckpt_path={sound[-1]} continues from the last sound checkpoint."
            if sound
            else "."
        )
    )


class Divergence:
    """Looks at each loss only when the next batch begins: the host does not wait for the device."""

    def __init__(self) -> None:
        self._loss: Tensor | None = None
        self._batch = 0

    def note(self, loss: Tensor, batch: int) -> None:
        """Keep a batch's loss, a scalar, until it is looked at."""
        self._loss, self._batch = loss, batch

    def require_finite_loss(self, trainer: L.Trainer) -> None:
        """Look at the loss that was kept.

        Raises:
            DivergedError: it is not finite.
        """
        if self._loss is not None:
            loss, self._loss = self._loss, None
            require_finite((loss,), f"the loss in batch {self._batch + 1}", trainer)

    def require_finite_weights(self, weights: Iterable[Tensor], trainer: L.Trainer) -> None:
        """Look at weights, after the loss that was kept.

        Raises:
            DivergedError: one of them is not finite.
        """
        self.require_finite_loss(trainer)
        require_finite(weights, f"a weight after batch {self._batch + 1}", trainer)
