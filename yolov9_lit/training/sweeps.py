"""Sweeps that survive: each job in a folder and a process of its own, and a table at the end.

A process of its own keeps a sweep going whatever becomes of a job (out of memory, a crash of a
library), gives each job its memory and loggers afresh, and lets Lightning start the other ranks of
a distributed job by the job's own command, where the sweep's would start a sweep in each rank.
"""

from __future__ import annotations

import atexit
import ctypes
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from yolov9_lit.training.record import FILE, RunRecord
from yolov9_lit.training.runs import Outcome, finished

OF_THE_SWEEP = (
    "hydra.mode",
    "hydra.run",
    "hydra.sweep",
    "hydra/sweeper",
    "hydra.launcher",
    "hydra/launcher",
    "hydra.callbacks",
)
"""Overrides of Hydra's own config that a job does not inherit."""


class JobFailedError(RuntimeError):
    """A job of a sweep ended badly; its folder tells why."""


def run_apart(cfg: DictConfig) -> Outcome:
    """Run one job of a sweep in a process of its own, unless it was finished earlier.

    Raises:
        JobFailedError: the job ended badly; its `run.json` holds the error.
        UserError: the folder holds another experiment.
    """
    done = finished(cfg)
    if done is not None:
        return done
    folder = Path(cfg.run_dir)
    code = subprocess.run(_job_command(folder), preexec_fn=_die_with_parent).returncode
    done = finished(cfg)
    if done is None:
        raise JobFailedError(f"{folder}: {_failure(folder, code)}")
    return done


def _job_command(folder: Path) -> list[str]:
    hydra = HydraConfig.get()
    own = [o for o in hydra.overrides.hydra if not o.lstrip("+~").startswith(OF_THE_SWEEP)]
    sources = [s.path for s in hydra.runtime.config_sources if s.provider == "command-line"]
    command = [sys.executable, "-m", "yolov9_lit.train"]
    command += ["--config-name", str(hydra.job.config_name)]
    for path in sources:
        command += ["--config-dir", path]
    quoted = str(folder.absolute()).replace("\\", "\\\\").replace("'", "\\'")
    tasks = [o for o in hydra.overrides.task if not o.startswith("sweep=")]
    sweep = Path(hydra.sweep.dir).name
    return [*command, *tasks, *own, "hydra.mode=RUN", f"hydra.run.dir='{quoted}'", f"sweep={sweep}"]


def _failure(folder: Path, code: int) -> str:
    """One line on what went wrong; a job that could not write it itself has it written here."""
    record = RunRecord.read(folder)
    if record is None:
        return f"ended with code {code} before the training began; its output says why"
    if record.status == "running":
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        record = record.ending("failed", error=f"The process ended with {how}.")
        record.write(folder)
    return last_line(record.error)


def last_line(text: str | None) -> str:
    """The last line of a traceback: the error itself."""
    return (text or "").strip().rsplit("\n", 1)[-1]


def _die_with_parent() -> None:
    """A sweep that is killed takes its job along (Linux); elsewhere the job goes on to its end."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class SweepTable(Callback):
    """Prints what became of a sweep's jobs when the process ends, however the sweep ended.

    Hydra tells of the end of a sweep only where no job failed.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the sweep's folder."""
        atexit.register(print_sweep, Path(config.hydra.sweep.dir).absolute())


def print_sweep(folder: Path) -> None:
    """Print what became of each job of a sweep, and how to go on."""
    records = {path.parent: RunRecord.read(path.parent) for path in folder.glob(f"*/{FILE}")}
    if not records:
        return
    table = Table(title=f"Sweep {folder}", title_justify="left")
    for column in ("job", "status", "error"):
        table.add_column(column, overflow="fold")
    for job, record in sorted(records.items()):
        assert record is not None
        table.add_row(job.name, record.status, last_line(record.error))
    counts = Counter(record.status for record in records.values() if record)
    console = Console(stderr=True)
    console.print(table)
    console.print(
        f"{counts['done']} done, {counts['failed']} failed, {counts['running']} not finished. "
        "The same command goes on with those that are not done; "
        f"`python -m yolov9_lit.report runs={folder}` compares them.",
        soft_wrap=True,
    )
