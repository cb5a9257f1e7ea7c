"""The Trainer of a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
from hydra.errors import InstantiationException
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from yolov9_lit.building import build
from yolov9_lit.errors import UserError


def build_trainer(cfg: DictConfig, callbacks: Sequence[L.Callback], **arguments: Any) -> L.Trainer:
    """Build the Trainer, which writes no checkpoints but those of the callbacks.

    Args:
        cfg: node of the Trainer.
        callbacks: all callbacks.
        arguments: others of `lightning.Trainer`.

    Raises:
        UserError: the machine does not have the configured devices.
    """
    checkpoints = any(isinstance(callback, Checkpoint) for callback in callbacks)
    try:
        return build(cfg, callbacks=list(callbacks), enable_checkpointing=checkpoints, **arguments)
    except InstantiationException as error:
        if not isinstance(error.__cause__, MisconfigurationException):
            raise
        raise UserError(
            f"trainer.accelerator={cfg.accelerator} trainer.devices={cfg.devices}: "
            f"{str(error.__cause__).split('. ')[0].rstrip('.!')}: choose another trainer, for "
            "example trainer=auto."
        ) from error


def build_parts(group: DictConfig | None) -> list[Any]:
    """Build the parts of a config group, callbacks or loggers; none where it is switched off."""
    return [part for part in build(group or {}).values() if part is not None]
