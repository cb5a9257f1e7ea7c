"""Checkpoints that survive a kill in the middle of writing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file and moves it into place once it is complete."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write to a local path; Lightning's own method needs the same space in /tmp as well.

        Raises:
            OSError: the file cannot be written; an earlier one stays.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_write(path) as part, part.open("wb") as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # What torch makes of the disk's error.
            if isinstance(error.__context__, OSError):
                error.__context__.filename = str(path)
                raise error.__context__ from None
            raise

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a local file without executing anything in it.

        Raises:
            UserError: the file is not a training's checkpoint.
        """
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise UserError(f"{path} cannot be read to resume: give a run's last.ckpt.") from error
        if not isinstance(checkpoint, dict) or "pytorch-lightning_version" not in checkpoint:
            raise UserError(f"{path} has no training to resume: ckpt={path} takes its weights.")
        return checkpoint
