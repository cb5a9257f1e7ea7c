"""A run in its folder: begun, continued, or already done.

A sweep that is killed and started again finds its jobs' folders as they were left: finished jobs
are passed over, a half-done one goes on from its last checkpoint, a failed one is tried again.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from yolov9_lit.building import config_mistakes
from yolov9_lit.errors import UserError
from yolov9_lit.files import remove_parts
from yolov9_lit.ranks import is_first_rank
from yolov9_lit.runs.identity import differences, experiment_config
from yolov9_lit.runs.interruption import command_to_go_on, terminable
from yolov9_lit.runs.record import Result, RunRecord
from yolov9_lit.training.batch_size import AUTO
from yolov9_lit.training.divergence import DivergedError
from yolov9_lit.training.time_limit import leaves_time

log = logging.getLogger(__name__)

LOCK = "run.lock"


def recorded(
    cfg: DictConfig,
    train: Callable[[DictConfig], Result],
    settle: Callable[[DictConfig], None] = lambda cfg: None,
) -> Result:
    """Train in `cfg.run_dir`, keeping `run.json` there, unless that was done before.

    Args:
        cfg: config of the train command, inside a Hydra job.
        train: the training; it is given `cfg`, with `ckpt_path` set where a run is continued.
        settle: changes in `cfg` what it leaves to the run, which is recorded before it begins.

    Raises:
        UserError: the folder holds another experiment.
    """
    folder = Path(cfg.run_dir)
    with _locked(folder):
        done = finished(cfg)
        if done is not None:
            log.info("Finished earlier, passed over: %s", folder)
            _tell_time_up(folder)
            _unlock(folder)
            return done
        _clear(folder)
        with refusal_recorded(cfg):
            settle(cfg)
        record, earlier = _begin(cfg, experiment_config(cfg)), RunRecord.read(folder)
        if earlier is not None:
            record = replace(record, started=earlier.started, resumed=earlier.resumed + 1)
            last = folder / "checkpoints" / "last.ckpt"
            if last.is_file():  # It goes on from there, whatever it was begun with.
                log.info("Continuing from %s", last)
                cfg.ckpt_path = str(last)
                record = replace(record, weights=earlier.weights)
        result = _carry_out(cfg, train, folder, record)
        _unlock(folder)
        return result


def finished(cfg: DictConfig) -> Result | None:
    """Return what the run in `cfg.run_dir` gave; None where there is none or it has not ended well.

    One whose time was up has ended, unless `cfg` gives it more.
    What the run there settled, where `cfg` leaves it to the run, is put into `cfg`.

    Raises:
        UserError: the folder holds another experiment.
    """
    folder = Path(cfg.run_dir)
    record = RunRecord.read(folder)
    if record is None:
        return None
    _take_settled(cfg, record.config)
    keys = differences(record.config, experiment_config(cfg), cfg.execution)
    if keys and record.config:
        last = folder / "checkpoints" / "last.ckpt"
        raise UserError(
            f"{folder} holds a run with another config (it differs in {', '.join(keys)}): choose "
            "another folder (hydra.run.dir=DIR, in a sweep sweep=NAME), "
            + (f"where ckpt_path={last} goes on from it, " if last.is_file() else "")
            + "or move that one away."
        )
    limit = record.result.time_limit
    more_time = limit is not None and leaves_time(cfg.trainer.get("max_time"), limit)
    if record.status != "done" or more_time:
        return None
    return record.result


def _take_settled(cfg: DictConfig, config: Mapping[str, Any]) -> None:
    settled = config.get("data", {}).get("batch_size")
    if settled is not None and cfg.data.get("batch_size") == AUTO:
        cfg.data.batch_size = settled


@contextmanager
def refusal_recorded(cfg: DictConfig) -> Iterator[None]:
    """Record a mistake that is found before a job's run can begin: else only its output tells it.

    Raises:
        UserError: the mistake.
    """
    try:
        with config_mistakes():
            yield
    except UserError as error:
        folder = Path(cfg.run_dir)
        record = RunRecord.read(folder) or _begin(cfg, {})
        if record.status != "done":
            _write(record.ending("failed", error=str(error)), folder)
        raise


def _carry_out(
    cfg: DictConfig, train: Callable[[DictConfig], Result], folder: Path, record: RunRecord
) -> Result:
    _write(record, folder)
    try:
        with terminable():
            result = train(cfg)
    except SystemExit:
        _write(record.ending("interrupted"), folder)
        log.warning("Interrupted; it goes on with: %s", command_to_go_on(folder))
        raise
    except DivergedError as error:
        _write(record.ending("diverged", error=str(error)), folder)
        raise
    except Exception:
        _write(record.ending("failed", error=traceback.format_exc()), folder)
        raise
    _write(record.ending("done", result=result), folder)
    _tell_time_up(folder)
    return result


def _tell_time_up(folder: Path) -> None:
    record = RunRecord.read(folder) if is_first_rank() else None
    if record is not None and record.time_up:
        log.warning("%s: %s", record.time_up, command_to_go_on(folder))


def _clear(folder: Path) -> None:
    """Remove the files that a killed process was writing."""
    if is_first_rank():
        for place in (folder, folder / "checkpoints"):
            remove_parts(place)


def _begin(cfg: DictConfig, config: dict[str, Any]) -> RunRecord:
    hydra = HydraConfig.get()
    return RunRecord.begin(
        cfg,
        config,
        overrides=[o for o in hydra.overrides.task if not o.startswith("sweep=")],
        choices={str(group): choice for group, choice in hydra.runtime.choices.items()},
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process in at a time; the system lifts the lock of one that is killed."""
    if not is_first_rank():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("Another process is at work in %s: waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _unlock(folder: Path) -> None:
    """Remove the lock of a run that is done.

    Of one that is not it stays: a process that waits for it would hold a file that is gone, while
    another locks a new one. Here both find the run done, and pass it over.
    """
    if is_first_rank():
        with suppress(OSError):  # where an open file cannot be removed
            (folder / LOCK).unlink()


def _write(record: RunRecord, folder: Path) -> None:
    if is_first_rank():
        record.write(folder)
