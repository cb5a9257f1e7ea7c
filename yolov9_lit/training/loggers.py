"""Loggers that go on where a run was interrupted, and W&B that never stops a run."""

from __future__ import annotations

import csv
import logging
import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from uuid import uuid4

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from yolov9_lit.files import atomic_write

log = logging.getLogger(__name__)


class ContinuingCSVLogger(CSVLogger):
    """Lightning's metrics.csv, kept when a run is continued in its folder."""

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer of this run."""
        if self._experiment is None:
            self._experiment = _ContinuingWriter(log_dir=self.log_dir)
        assert isinstance(self._experiment, ExperimentWriter)
        return self._experiment


class _ContinuingWriter(ExperimentWriter):
    """Keeps the rows of an earlier, interrupted writing up to where it is taken up again."""

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
        """Record; a continued run logs its steps anew from where its checkpoint was made."""
        if self._earlier and step is not None:
            kept = [row for row in self._earlier if int(row["step"]) < step]
            self.metrics_keys = sorted(k for k in self._earlier[0] if k)
            self._write_whole(kept, self.metrics_keys)
            self._earlier = []
        super().log_metrics(metrics_dict, step)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Add columns to the file."""
        with Path(self.metrics_file_path).open(newline="") as file:
            self._write_whole(list(csv.DictReader(file)), fieldnames)

    def _write_whole(self, rows: list[dict[str, Any]], fieldnames: list[str]) -> None:
        """Replace the file; a kill leaves the old or the new one."""
        with atomic_write(self.metrics_file_path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def wandb_logger(*, save_dir: str | Path, offline: bool = False, **arguments: Any) -> WandbLogger:
    """Make the logger; without an account on this machine it records offline.

    A run continued in its folder goes on as the same W&B run.

    Args:
        save_dir: the run's folder.
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
    return WandbLogger(
        save_dir=save_dir, offline=offline, id=_run_id(Path(save_dir)), resume="allow", **arguments
    )


def _run_id(folder: Path) -> str:
    """The id that the run in a folder has with W&B, made at its first start."""
    path = folder / "wandb_id.txt"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(uuid4().hex[:16])
    return path.read_text()


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
