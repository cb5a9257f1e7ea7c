"""Setting a search up: its study, its lock, and what refuses to go on."""

import dataclasses

import pytest

optuna = pytest.importorskip("optuna", reason="needs the extra: yolov9-lit[search]")

from filelock import FileLock
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from yolov9_lit.errors import UserError
from yolov9_lit.runs.search import start
from yolov9_lit.runs.search.start import SearchSettings, run_search

SETTINGS = SearchSettings(
    study="s",
    storage=None,
    objectives=["AP", "gflops"],
    n_trials=3,
    n_jobs=2,
    seed=0,
    sampler=OmegaConf.create({"_target_": "optuna.samplers.TPESampler"}),
    params={"depth": "range(1,50)"},
)


class Launcher:
    """A launcher whose jobs give (depth, depth) and fail at odd ones."""

    def __init__(self):
        self.batches = []

    def launch(self, overrides, initial_job_idx):
        self.batches.append((initial_job_idx, overrides))
        return [self._job(dict(o.split("=") for o in job)) for job in overrides]

    def _job(self, job):
        depth = int(job["depth"])
        if depth % 2:
            return JobReturn(status=JobStatus.FAILED, _return_value=ValueError(f"odd\n{depth}"))
        return JobReturn(status=JobStatus.COMPLETED, _return_value=(depth, depth))


def search(folder, *arguments, **changes):
    launcher = Launcher()
    run_search(
        dataclasses.replace(SETTINGS, **changes),
        parser=OverridesParser.create(),
        launcher=launcher,
        arguments=arguments,
        sweep_dir=folder,
    )
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{folder}/study.db")
    return launcher, study


def test_a_job_is_told_its_parameters_and_folder(tmp_path):
    launcher, study = search(tmp_path / "new", "model=t", "depth=choice(2,3,4)", n_trials=9)
    assert [number for number, _ in launcher.batches] == [0, 2] or len(study.trials) > 3
    jobs = [job for _, batch in launcher.batches for job in batch]
    assert len(jobs) == 3
    for job in jobs:
        assert job[0] == "model=t"
        trial = study.trials[int(job[2].removeprefix("hydra.sweep.subdir=trial-"))]
        assert job[1] == f"depth={trial.params['depth']}"
        if trial.params["depth"] == "3":
            assert trial.state.name == "FAIL"
            assert trial.user_attrs["error"] == "ValueError: odd 3"
        else:
            assert trial.values == [float(trial.params["depth"])] * 2
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert (tmp_path / "new" / "pareto.csv").is_file()


@pytest.mark.slow
def test_a_resumed_search_proposes_other_trials(tmp_path):
    _, study = search(tmp_path, n_trials=6)
    first = [trial.params["depth"] for trial in study.trials]
    _, study = search(tmp_path, n_trials=12)
    assert [trial.params["depth"] for trial in study.trials[: len(first)]] == first
    assert [trial.params["depth"] for trial in study.trials[len(first) :]] != first


def test_another_search_in_its_folder_is_refused(tmp_path):
    search(tmp_path, "seed=1")
    search(tmp_path, "seed=1", n_trials=4)
    with pytest.raises(UserError, match=r"begun with other values of fixed: \['seed=1'\]"):
        search(tmp_path, "seed=2")
    with pytest.raises(UserError, match="begun with other values of searched: "):
        search(tmp_path, "seed=1", "depth=range(1,9)")


def test_a_search_that_runs_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "LOCK_WAIT", 0.1)
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(UserError, match="Another process runs the search in"),
    ):
        search(tmp_path)
    search(tmp_path)
