"""The loop around Optuna, with objectives that need no training."""

import itertools

import pandas as pd
import pytest

optuna = pytest.importorskip("optuna", reason="needs the extra: yolov9-lit[search]")

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.errors import UserError
from yolov9_lit.runs.search.front import trial_table, write_front
from yolov9_lit.runs.search.loop import EARLY_VALUES, ERROR, FOLDER, Search
from yolov9_lit.runs.search.space import Space, parse_space
from yolov9_lit.runs.search.trial import TrialRecord

DEPTHS, BLOCKS = range(1, 6), ("a", "b", "c", "d")
SPACE = Space(
    {
        "depth": IntDistribution(DEPTHS[0], DEPTHS[-1]),
        "block": CategoricalDistribution(BLOCKS),
    },
    [],
)

WIDE = Space({**SPACE.searched, "depth": IntDistribution(1, 10_000)}, [])


def objectives(params):
    """Accuracy grows with cost, but not for every block alike."""
    gain = {"a": 1.0, "b": 0.8, "c": 1.3, "d": 0.1}[params["block"]]
    cost = params["depth"] * (1.5 if params["block"] == "c" else 1.0)
    return gain * params["depth"] ** 0.5, cost


class Runner:
    """Runs trials and keeps what it ran."""

    def __init__(self, folder, outcome=objectives):
        self.folder, self.outcome, self.ran = folder, outcome, []

    def __call__(self, trials):
        self.ran.append([trial.number for trial in trials])
        return [self.outcome(trial.params) for trial in trials]


@pytest.fixture
def search(tmp_path):
    def make(run, seed=0, space=SPACE):
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5, constant_liar=True)
        study = optuna.create_study(
            study_name="s",
            storage=f"sqlite:///{tmp_path}/study.db",
            directions=["maximize", "minimize"],
            sampler=sampler,
            load_if_exists=True,
        )
        return Search(study, space, tmp_path, run)

    return make


def nothing():
    pass


@pytest.mark.slow
def test_no_configuration_is_trained_twice_and_the_front_is_the_brute_force_one(search, tmp_path):
    run = Runner(tmp_path)
    searched = search(run)
    searched.until(100, 3, nothing)  # the space holds 20
    tried = [tuple(trial.params.values()) for trial in searched.finished()]
    assert sorted(tried) == sorted(itertools.product(DEPTHS, BLOCKS))
    assert sum(len(batch) for batch in run.ran) == 20

    points = {t: objectives(dict(zip(("depth", "block"), t, strict=True))) for t in tried}
    front = {
        t
        for t, (ap, cost) in points.items()
        if not any(a >= ap and c <= cost and (a, c) != (ap, cost) for a, c in points.values())
    }
    write_front(searched.finished(), searched.study.best_trials, ["ap", "cost"], tmp_path)
    table = pd.read_csv(tmp_path / "pareto.csv")
    rows = table[table["front"]]
    assert set(zip(rows["depth"], rows["block"], strict=True)) == front
    assert list(rows["cost"]) == sorted(rows["cost"])
    assert (tmp_path / "pareto.png").stat().st_size > 1000


def test_failed_and_pruned_trials_are_recorded_and_the_others_go_on(search, tmp_path):
    def outcome(params):
        return "ValueError: no memory" if params["block"] == "b" else objectives(params)

    run = Runner(tmp_path, outcome)
    searched = search(run)
    original = searched.run

    def prune_d(trials):
        for trial in trials:
            if trial.params["block"] == "d":
                (tmp_path / trial.user_attrs[FOLDER]).mkdir()
                TrialRecord(1.0, {0: 0.1}, pruned=0).write(tmp_path / trial.user_attrs[FOLDER])
        return original(trials)

    searched.run = prune_d
    searched.until(20, 2, nothing)
    for trial in searched.finished():
        state = {"b": TrialState.FAIL, "d": TrialState.PRUNED}
        assert trial.state == state.get(trial.params["block"], TrialState.COMPLETE)
        if trial.state == TrialState.FAIL:
            assert trial.user_attrs[ERROR] == "ValueError: no memory"
        if trial.state == TrialState.PRUNED:
            assert tuple(trial.user_attrs[EARLY_VALUES]) == objectives(trial.params)
    table = trial_table(searched.finished(), searched.study.best_trials, ["ap", "cost"])
    assert len(table) == 20
    assert table.loc[table["state"] == "pruned", "ap"].notna().all()
    assert not table.loc[table["state"] != "complete", "front"].any()


def test_a_killed_search_goes_on_where_it_was(search, tmp_path):
    class Killed(BaseException):
        pass

    def die(trials):
        if trials[0].number < 4:
            return first(trials)
        for trial in trials:
            (tmp_path / trial.user_attrs[FOLDER]).mkdir()
        # The first of the batch was through: its record says so.
        TrialRecord(1.0, {0: 0.7}, values=(0.7, 1.0)).write(tmp_path / trials[0].user_attrs[FOLDER])
        raise Killed

    first, second = Runner(tmp_path), Runner(tmp_path)
    with pytest.raises(Killed):
        search(die, space=WIDE).until(10, 2, nothing)
    running = search(None).study.get_trials(states=[TrialState.RUNNING])
    assert [trial.number for trial in running] == [4, 5]
    search(None).study.ask()  # killed before the trial had its parameters

    searched = search(second, seed=99, space=WIDE)
    searched.until(10, 2, nothing)
    assert second.ran[0] == [5], "run again alone, under its number"
    finished = {trial.number: trial for trial in searched.finished()}
    assert len(finished) == 10
    assert finished[4].values == [0.7, 1.0], "what was through is not lost"
    assert 6 not in finished
    assert finished[5].params == running[1].params
    assert first.ran == [[0, 1], [2, 3]]
    assert not {0, 1, 2, 3, 4} & {number for batch in second.ran for number in batch}

    searched.until(12, 2, nothing)
    assert len(searched.finished()) == 12, "a larger n_trials goes on"


def test_a_launcher_that_dies_fails_its_batch_alone(search, tmp_path):
    run = Runner(tmp_path)

    def launch(trials):
        if trials[0].number == 2:
            raise RuntimeError("job killed")
        return run(trials)

    searched = search(launch, space=WIDE)
    searched.until(6, 2, nothing)
    failed = [t.number for t in searched.finished() if t.state == TrialState.FAIL]
    assert failed == [2, 3]


def test_a_search_that_only_fails_stops_and_says_why(search, tmp_path):
    searched = search(Runner(tmp_path, lambda params: "UserError: There is no data."))
    with pytest.raises(UserError, match=r"first 3 trials all failed, .* UserError: There is no"):
        searched.until(10, 1, nothing)


def test_the_space_is_written_as_sweeps_are():
    parser = OverridesParser.create()
    params = {
        "block": "choice(csp,conv)",
        "model.elan_depth": "range(1,4)",
        "lr": "tag(log,interval(0.001,0.1))",
        "weight": "range(0.1,0.5,0.1)",
        "pgi": "choice(none,fpn)",
    }
    space = parse_space(parser, params, ["pgi=icn", "block=csp,res,dark", "~callbacks.progress"])
    assert space.searched["block"] == CategoricalDistribution(["csp", "res", "dark"])
    assert space.searched["model.elan_depth"] == IntDistribution(1, 3)
    assert space.searched["lr"] == FloatDistribution(0.001, 0.1, log=True)
    weight = space.searched["weight"]
    assert (weight.low, weight.step) == pytest.approx((0.1, 0.1))
    assert weight.high == pytest.approx(0.4)
    assert space.fixed == ["pgi=icn", "~callbacks.progress"]
    with pytest.raises(UserError, match="varies nothing"):
        parse_space(parser, {}, ["seed=1"])


def test_the_shipped_space_composes():
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        shipped = compose("train", ["hparams_search=optuna"], return_hydra_config=True)
        space = parse_space(OverridesParser.create(), shipped.hydra.sweeper.params, [])
        assert set(space.searched) >= {"block", "pgi", "model.elan_depth", "model.csp_depth"}
        choices = {k: d.choices for k, d in space.searched.items() if hasattr(d, "choices")}
        for i in range(max(map(len, choices.values()))):
            values = [f"{key}={some[i % len(some)]}" for key, some in choices.items()]
            compose("train", ["hparams_search=optuna", *values])
