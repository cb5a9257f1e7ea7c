"""The search: asks Optuna for trials, has them run, tells it how they went.

A trial is one folder, `trial-<number>`, from its first start to its end. A search that is killed
leaves its unfinished trials as "running" in the study: the next start tells those that were
through after all and runs the others again, in their folders.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from yolov9_lit.errors import UserError
from yolov9_lit.runs.search.space import Space
from yolov9_lit.runs.search.trial import TrialRecord

log = logging.getLogger(__name__)

FOLDER, ERROR, EARLY_VALUES = "folder", "error", "values when given up"
"""Attributes of a trial: its folder's name, why it failed, the values a pruned one had."""

HOPELESS = 3
"""So many failed trials and none that succeeded: the mistake is not the trials'."""

DRAWS = 1000
"""So many random draws in a row that were tried before: there is nothing left to try."""

Outcome = tuple[float, ...] | str
"""A trial's objectives, or why it failed: text, for an exception's frames would keep its model."""

Run = Callable[[Sequence[FrozenTrial]], Sequence[Outcome]]
"""Runs trials side by side."""


@dataclass
class Search:
    """One study being searched.

    Attributes:
        study: Optuna's, of this space.
        space: what varies.
        sweep_dir: holds the trials' folders.
        run: runs trials.
    """

    study: Study
    space: Space
    sweep_dir: Path
    run: Run

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials that have a run folder, of these states or of all."""
        found = self.study.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in found if FOLDER in trial.user_attrs]

    def finished(self) -> list[FrozenTrial]:
        """Trials that were run to an end: completed, pruned or failed."""
        return self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

    def until(self, count: int, batch: int, after_batch: Callable[[], None]) -> None:
        """Go on until so many trials are finished.

        Args:
            count: of all starts of this search together.
            batch: trials that run side by side.
            after_batch: called when the study knows more.

        Raises:
            UserError: the first trials all failed.
        """
        waiting = self._interrupted()
        while (left := count - len(self.finished())) > 0:
            trials = waiting[:batch] or self._ask(min(batch, left))
            waiting = waiting[len(trials) :]
            if not trials:
                log.info("Everything in this space has been tried")
                break
            for trial, outcome in zip(trials, self._outcomes(trials), strict=True):
                self._tell(trial, outcome)
            after_batch()
            self._stop_if_hopeless()

    def _interrupted(self) -> list[FrozenTrial]:
        """Settle what a killed search left behind; gives the trials to run again."""
        again = []
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            if FOLDER not in trial.user_attrs:  # killed before it was started
                self.study.tell(trial.number, state=TrialState.FAIL)
            elif outcome := self._recorded(trial):
                self._tell(trial, outcome)
            else:
                again.append(trial)
        if again:
            log.info("Run again: %s", ", ".join(t.user_attrs[FOLDER] for t in again))
        return again

    def _ask(self, count: int) -> list[FrozenTrial]:
        """Draw new trials, fewer where the space has no more."""
        trials: list[FrozenTrial] = []
        while len(trials) < count:
            trial = self.study.ask(self.space.searched)
            if twin := next((t for t in self.trials() if t.params == trial.params), None):
                self._settle(trial, twin)
                untried = self._untried()
                if untried is None:
                    break
                self.study.enqueue_trial(untried)
                trial = self.study.ask(self.space.searched)
            trial.set_user_attr(FOLDER, f"trial-{trial.number:03d}")
            trials.append(self.study.trials[trial.number])
        return trials

    def _settle(self, trial: optuna.Trial, twin: FrozenTrial) -> None:
        """End a trial that would train again what its twin has or does."""
        if twin.state.is_finished():
            self.study.tell(trial, twin.values, twin.state)
        else:
            self.study.tell(trial, state=TrialState.FAIL)

    def _untried(self) -> dict[str, Any] | None:
        """Parameters no trial had, drawn at random; None where there seem to be none."""
        tried = [trial.params for trial in self.trials()]
        sampler = optuna.samplers.RandomSampler(seed=len(self.study.trials))
        dice = optuna.create_study(sampler=sampler)
        draws = (dice.ask(self.space.searched).params for _ in range(DRAWS))
        return next((params for params in draws if params not in tried), None)

    def _outcomes(self, trials: Sequence[FrozenTrial]) -> Sequence[Outcome]:
        try:
            return self.run(trials)
        except Exception as error:  # a launcher whose job died, not a job that raised
            return [self._recorded(trial) or error_text(error) for trial in trials]

    def _recorded(self, trial: FrozenTrial) -> tuple[float, ...] | None:
        record = self._record(trial)
        return record.values if record else None

    def _record(self, trial: FrozenTrial) -> TrialRecord | None:
        return TrialRecord.read(self.sweep_dir / trial.user_attrs[FOLDER])

    def _tell(self, trial: FrozenTrial, outcome: Outcome) -> None:
        record = self._record(trial)
        if isinstance(outcome, str):
            log.warning("%s failed: %s", trial.user_attrs[FOLDER], outcome)
            self._note(trial, ERROR, outcome)
            self.study.tell(trial.number, state=TrialState.FAIL)
        elif record and record.pruned is not None:
            self._note(trial, EARLY_VALUES, list(outcome))
            self.study.tell(trial.number, state=TrialState.PRUNED)
        else:
            self.study.tell(trial.number, list(outcome))

    def _note(self, trial: FrozenTrial, key: str, value: str | list[float]) -> None:
        """Add to a trial's attributes; Optuna takes them by a live trial only."""
        optuna.Trial(self.study, trial._trial_id).set_user_attr(key, value)

    def _stop_if_hopeless(self) -> None:
        finished = self.finished()
        failed = [t for t in finished if t.state == TrialState.FAIL]
        if len(failed) == len(finished) >= HOPELESS:
            error = failed[-1].user_attrs.get(ERROR)
            raise UserError(f"The first {len(failed)} trials all failed, the last with {error}")


def error_text(error: BaseException) -> str:
    """Kind and message of an exception, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
