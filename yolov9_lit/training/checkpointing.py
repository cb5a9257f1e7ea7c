"""Checkpoints that survive a kill in the middle of writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from yolov9_lit.files import whole


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there when it is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write to a local path."""
        with whole(path) as part:
            super().save_checkpoint(checkpoint, part, storage_options)
