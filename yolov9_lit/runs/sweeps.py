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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.table import Table

from yolov9_lit.building import quoted
from yolov9_lit.errors import UserError, error_line
from yolov9_lit.ranks import is_first_rank
from yolov9_lit.reporting.console import console
from yolov9_lit.runs.identity import experiment_config
from yolov9_lit.runs.record import FILE, Result, RunRecord
from yolov9_lit.runs.resume import finished, refusal_recorded

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


_ON_LINUX = sys.platform == "linux"


class JobFailedError(CompactHydraException):
    """A job of a sweep ended badly; its folder tells why."""


def run_apart(cfg: DictConfig, check: Callable[[DictConfig], None]) -> Result:
    """Run one job of a sweep in a process of its own, unless it was finished earlier.

    Args:
        cfg: of the job.
        check: refuses mistakes in it, so that no process is started for them.

    Raises:
        JobFailedError: the job ended badly; its `run.json` holds the error.
        UserError: the folder holds another experiment, or the config has a mistake.
    """
    from yolov9_lit.weights.structure import adopt_structure  # Every command imports this module.

    with refusal_recorded(cfg):
        adopt_structure(cfg)
        experiment_config(cfg)
        check(cfg)
    done = finished(cfg)
    if done is not None:
        return done
    folder = Path(cfg.run_dir)
    code = _call(_job_command(folder))
    if code == 0 and not is_first_rank():
        return Result()  # The first rank has, or will have, recorded what the job gave.
    done = finished(cfg)
    if done is None:
        raise JobFailedError(f"{folder}: {_failure(folder, code)}")
    return done


def _call(command: list[str]) -> int:
    """Run a command to its end; on Linux it dies with this process, elsewhere it goes on."""
    return subprocess.run(command, preexec_fn=die_with_parent if _ON_LINUX else None).returncode


def die_with_parent() -> None:
    """Have Linux end this process with the one that started it; elsewhere do nothing."""
    pr_set_pdeathsig = 1
    if _ON_LINUX:
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _job_command(folder: Path) -> list[str]:
    hydra = HydraConfig.get()
    own = [o for o in hydra.overrides.hydra if not o.lstrip("+~").startswith(OF_THE_SWEEP)]
    sources = [s.path for s in hydra.runtime.config_sources if s.provider == "command-line"]
    command = [sys.executable, "-m", "yolov9_lit.train"]
    command += ["--config-name", str(hydra.job.config_name)]
    for path in sources:
        command += ["--config-dir", path]
    tasks = [o for o in hydra.overrides.task if not o.startswith("sweep=")]
    run_dir, sweep = quoted(str(folder.absolute())), quoted(Path(hydra.sweep.dir).name)
    return [*command, *tasks, *own, "hydra.mode=RUN", f"hydra.run.dir={run_dir}", f"sweep={sweep}"]


def _failure(folder: Path, code: int) -> str:
    """One line on what went wrong; a job that could not write it itself has it written here."""
    record = RunRecord.read(folder)
    if record is None:
        return f"ended with code {code} before the training began; its output says why"
    if record.status == "interrupted":
        return "it was interrupted"
    if record.status == "running":
        how = f"signal {-code}" if code < 0 else f"code {code}"
        record = record.ending("failed", error=f"The process ended with {how}.")
        record.write(folder)
    return error_line(record.error)


class SweepTable(Callback):
    """Prints what became of a sweep's jobs when the process exits, also where a job failed.

    Hydra tells of the end of a sweep only where none did.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the sweep's folder."""
        atexit.register(print_sweep, Path(config.hydra.sweep.dir).absolute())


def tell_no_table() -> None:
    """Print no table at the end: the sweep was refused before its first job, which is told."""
    atexit.unregister(print_sweep)


def print_sweep(folder: Path) -> None:
    """Print what became of each job of a sweep, and how to go on."""
    jobs = sorted(path.parent for path in folder.glob(f"*/{FILE}"))
    if not jobs:
        console(stderr=True).print(
            f"No job of sweep {folder} was started: check what it sweeps over; a glob, as that of "
            "table=N, may match no option.",
            soft_wrap=True,
        )
        return
    states = [_state(job) for job in jobs]
    table = Table(title=f"Sweep {folder}", title_justify="left")
    for column in ("job", "status", "remark"):
        table.add_column(column, overflow="fold")
    for job, (status, remark) in zip(jobs, states, strict=True):
        table.add_row(job.name, status, remark)
    counts = Counter(status for status, _ in states)
    out = console(stderr=True)
    out.print(table)
    out.print(
        f"{counts['done']} done, {counts['failed'] + counts['diverged']} failed, "
        f"{counts['running'] + counts['interrupted']} not finished. "
        f"The same command with sweep={folder.name} goes on with those that are not done; "
        f"`python -m yolov9_lit.report runs={folder}` compares them.",
        soft_wrap=True,
    )


def _state(job: Path) -> tuple[str, str]:
    """Status of a job, and what is to be told of it."""
    try:
        record = RunRecord.read(job)
    except UserError as error:
        return "damaged", str(error)
    if record is None:
        return "unknown", ""
    return record.status, error_line(record.error) or record.time_up
