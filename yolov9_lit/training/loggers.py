"""Weights & Biases that never stops a run for want of an account."""

from __future__ import annotations

import logging
import os
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

log = logging.getLogger(__name__)


def wandb_logger(*, offline: bool = False, **arguments: Any) -> WandbLogger:
    """Make the logger; without an account on this machine it records offline.

    Args:
        offline: record in the run's folder, to be sent later with `wandb sync`.
        arguments: of `lightning.pytorch.loggers.WandbLogger`.
    """
    if not offline and "WANDB_MODE" not in os.environ and not wandb.api.api_key:
        log.warning(
            "No W&B account on this machine: recording offline "
            "(`wandb login` before the run, or `wandb sync` after it)"
        )
        offline = True
    return WandbLogger(offline=offline, **arguments)
