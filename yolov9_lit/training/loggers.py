"""Weights & Biases that never stops a run for want of an account."""

from __future__ import annotations

import logging
import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger

log = logging.getLogger(__name__)


def wandb_logger(*, offline: bool = False, **arguments: Any) -> WandbLogger:
    """Make the logger; without an account on this machine it records offline.

    Args:
        offline: record in the run's folder, to be sent later with `wandb sync`.
        arguments: of `lightning.pytorch.loggers.WandbLogger`.
    """
    if not offline and "WANDB_MODE" not in os.environ and not _has_account():
        log.warning(
            "No W&B account on this machine: recording offline "
            "(`wandb login` before the run, or `wandb sync` after it)"
        )
        offline = True
    if offline:
        arguments["mode"] = "offline"
    return WandbLogger(offline=offline, **arguments)


def _has_account() -> bool:
    """Whether there is a key where `wandb login` puts it: the environment or the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return host in netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False
