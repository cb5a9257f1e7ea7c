"""The progress bar of a training."""

from __future__ import annotations

from lightning.pytorch.callbacks import RichProgressBar


def progress_bar(enabled: bool) -> RichProgressBar | None:
    """Return a bar with losses, learning rate and time left; None where the trainer has none."""
    return RichProgressBar(leave=False) if enabled else None
