"""Loggers that continue where a run was interrupted, and W&B that never stops a run."""

from __future__ import annotations

import csv
import logging
import netrc
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from uuid import uuid4

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write

log = logging.getLogger(__name__)


class ContinuingCSVLogger(CSVLogger):
    """Lightning's metrics.csv, kept when a run is continued in its folder."""

    def __init__(self, save_dir: str | Path, **arguments: Any) -> None:
        super().__init__(save_dir, **arguments)
        self._experiment = _ContinuingWriter(self.log_dir)


class _ContinuingWriter(ExperimentWriter):
    """Keeps an interrupted run's rows up to the step at which the run is continued."""

    def __init__(self, log_dir: str) -> None:
        self._earlier: list[dict[str, Any]] = []
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        """Remember the rows of the file, which Lightning's writer would delete."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            # A kill in the middle of writing leaves half a row.
            self._earlier = [row for row in rows if (row.get("step") or "").isdigit()]

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        """Record a row; the first one replaces the earlier rows from its step on."""
        if self._earlier and step is not None:
            kept = [row for row in self._earlier if int(row["step"]) < step]
            self.metrics_keys = sorted(k for k in self._earlier[0] if k)
            self._write_whole(kept, self.metrics_keys)
            self._earlier = []
        super().log_metrics(metrics_dict, step)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with Path(self.metrics_file_path).open(newline="") as file:
            self._write_whole(list(csv.DictReader(file)), fieldnames)

    def _write_whole(self, rows: list[dict[str, Any]], fieldnames: list[str]) -> None:
        """Replace the file; a kill leaves the old or the new one."""
        with atomic_write(self.metrics_file_path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def tensorboard_logger(**arguments: Any) -> TensorBoardLogger:
    """Build Lightning's TensorBoard logger.

    Raises:
        UserError: TensorBoard is not installed.
    """
    _require("tensorboard")
    return TensorBoardLogger(**arguments)


def wandb_logger(*, save_dir: str | Path, offline: bool = False, **arguments: Any) -> WandbLogger:
    """Build Lightning's W&B logger; without an account on this machine it records offline.

    A run continued in its folder remains the same W&B run.

    Args:
        save_dir: the run's folder.
        offline: record in the run's folder, to be sent later with `wandb sync`.
        arguments: of `lightning.pytorch.loggers.WandbLogger`.

    Raises:
        UserError: W&B is not installed.
    """
    _require("wandb")
    if not offline and "WANDB_MODE" not in os.environ and not _has_account():
        log.warning(
            "No W&B account on this machine: recording offline "
            "(`wandb login` before the run, or `wandb sync` after it)"
        )
        offline = True
    if offline:
        arguments["mode"] = "offline"
    return WandbLogger(
        save_dir=save_dir, offline=offline, id=_run_id(Path(save_dir)), resume="allow", **arguments
    )


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise UserError(f"logger={package}: {package} is not installed: pip install {package}.")


def _run_id(folder: Path) -> str:
    """Return the W&B id of the run in a folder, created at its first start."""
    path = folder / "wandb_id.txt"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(uuid4().hex[:16])
    return path.read_text()


def _has_account() -> bool:
    """Return whether there is a key where `wandb login` puts it: the environment or netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return host in netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False
