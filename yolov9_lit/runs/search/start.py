"""Sets a search up from its config: storage, study, lock, and the way to run trials."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import optuna
from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from optuna.study import Study
from optuna.trial import FrozenTrial

from yolov9_lit.errors import UserError
from yolov9_lit.runs.search.front import show_front, write_front
from yolov9_lit.runs.search.loop import FOLDER, Outcome, Search, error_text
from yolov9_lit.runs.search.space import Space, parse_space
from yolov9_lit.runs.search.trial import GFLOPS, check_objectives
from yolov9_lit.runs.sweeps import tell_no_table

log = logging.getLogger(__name__)

IDENTITY = "identity"
"""The study's attribute that says what it searches."""

LOCK_WAIT = 20.0
"""Seconds; worker processes of a killed search hold its lock a little longer."""


@dataclass(frozen=True)
class SearchSettings:
    """What `conf/hydra/sweeper/search.yaml` sets.

    Attributes:
        study: name of the study.
        storage: Optuna's URL; None for an SQLite file in the sweep's folder.
        objectives: their names, see `search.trial.OBJECTIVES`.
        n_trials: finished trials that end the search, counted over all its starts.
        n_jobs: trials that run side by side, where the launcher can.
        seed: of the sampler.
        sampler: config of an Optuna sampler that takes a seed.
        params: the space.
    """

    study: str
    storage: str | None
    objectives: Sequence[str]
    n_trials: int
    n_jobs: int
    seed: int
    sampler: Any
    params: Mapping[str, str]


def run_search(
    settings: SearchSettings,
    *,
    parser: OverridesParser,
    launcher: Launcher,
    arguments: Sequence[str],
    sweep_dir: Path,
) -> None:
    """Search, or go on with a search; the front so far is in the folder after each batch.

    Args:
        settings: of the search.
        parser: Hydra's, of overrides.
        launcher: Hydra's, of jobs.
        arguments: the command line's overrides of the task.
        sweep_dir: holds the study, the front and the trials' run folders.

    Raises:
        UserError: the objectives or the space are not usable, another process runs this search,
            the study is of another search, or its first trials all failed.
    """
    with ExitStack() as held:
        try:
            check_objectives(settings.objectives)
            space = parse_space(parser, settings.params, arguments)
            sweep_dir.mkdir(parents=True, exist_ok=True)
            held.enter_context(_alone(sweep_dir))
            study = _study(settings, space, sweep_dir)
        except UserError:
            tell_no_table()
            raise

        def run(trials: Sequence[FrozenTrial]) -> list[Outcome]:
            overrides = [_overrides(trial, space) for trial in trials]
            jobs = launcher.launch(overrides, initial_job_idx=trials[0].number)
            return [_outcome(job) for job in jobs]

        search = Search(study, space, sweep_dir, run)

        def report() -> None:
            write_front(search.finished(), study.best_trials, settings.objectives, sweep_dir)

        search.until(settings.n_trials, settings.n_jobs, report)
        report()
        show_front(search.finished(), study.best_trials, settings.objectives)
        log.info("The search is in %s", sweep_dir)


@contextmanager
def _alone(sweep_dir: Path) -> Iterator[None]:
    """Hold the folder: a second search would take the first one's running trials for dead."""
    try:
        with FileLock(sweep_dir / ".lock", timeout=LOCK_WAIT):
            yield
    except Timeout as error:
        raise UserError(
            f"Another process runs the search in {sweep_dir}: wait for it, or name this one with "
            "sweep=NAME."
        ) from error


def _study(settings: SearchSettings, space: Space, sweep_dir: Path) -> Study:
    """Create the study, or load it if it is the same search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=settings.study,
        storage=settings.storage or f"sqlite:///{sweep_dir.resolve()}/study.db",
        directions=["minimize" if o == GFLOPS else "maximize" for o in settings.objectives],
        load_if_exists=True,
    )
    # A fixed seed would propose a resumed search its first trials again.
    study.sampler = hydra.utils.instantiate(
        settings.sampler, seed=settings.seed + len(study.trials)
    )
    identity = {
        "objectives": list(settings.objectives),
        "fixed": sorted(space.fixed),
        "searched": {key: str(value) for key, value in sorted(space.searched.items())},
    }
    known = study.user_attrs.get(IDENTITY, identity)
    changed = [part for part in identity if identity[part] != known[part]]
    if changed:
        raise UserError(
            f"The search {settings.study} in {sweep_dir} was begun with other values of "
            f"{', '.join(changed)}: {known[changed[0]]}. Name this one with "
            "sweep=NAME, or repeat that command."
        )
    study.set_user_attr(IDENTITY, identity)
    return study


def _overrides(trial: FrozenTrial, space: Space) -> list[str]:
    searched = (f"{key}={value}" for key, value in trial.params.items())
    return [*space.fixed, *searched, f"hydra.sweep.subdir={trial.user_attrs[FOLDER]}"]


def _outcome(job: JobReturn) -> Outcome:
    if job.status == JobStatus.COMPLETED:
        return tuple(float(value) for value in job.return_value)
    return error_text(job._return_value)
