"""The rule that gives trials up, and a training it ends."""

import json

import pytest
from hypothesis import given, strategies as st

from yolov9_lit.app.configs import compose
from yolov9_lit.app.train import train
from yolov9_lit.errors import UserError
from yolov9_lit.runs.search.pruner import is_poor
from yolov9_lit.runs.search.trial import TrialRecord, objective_values

pytestmark = pytest.mark.slow

RULE = {"min_peers": 2, "slack": 0.05}


def record(gflops, *curve):
    return TrialRecord(gflops, dict(enumerate(curve)))


def test_poor_is_below_the_median_of_what_costs_no_more():
    peers = [record(5.0, 0.1, 0.4), record(7.0, 0.1, 0.5), record(7.3, 0.1, 0.6)]
    assert is_poor(record(7.0, 0.1, 0.49), peers, 1, **RULE), "7.3 is within the slack"
    assert not is_poor(record(7.0, 0.1, 0.5), peers, 1, **RULE)
    assert not is_poor(record(6.0, 0.1, 0.3), peers, 1, **RULE), "one peer is too few"
    assert not is_poor(record(4.0, 0.0, 0.0), peers, 1, **RULE), "the cheapest"


def test_epochs_are_compared_alike_and_by_the_best_so_far():
    late = [record(5.0, 0.1, 0.2, 0.9), record(5.0, 0.1, 0.2, 0.9)]
    assert not is_poor(record(5.0, 0.1, 0.3), late, 1, **RULE), "their third epoch is no measure"
    assert not is_poor(record(5.0, 0.3, 0.1), late, 1, **RULE), "it had 0.3 before"
    stopped = [record(5.0, 0.9), record(5.0, 0.9)]
    assert not is_poor(record(5.0, 0.1, 0.1), stopped, 1, **RULE), "nothing at this epoch"


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_best_of_its_cost_is_never_given_up(trials):
    records = [record(float(gflops), ap) for gflops, ap in trials]
    for own in records:
        others = [r for r in records if r is not own]
        better = [r for r in others if r.gflops <= own.gflops and r.curve[0] > own.curve[0]]
        if not better:
            assert not is_poor(own, others, 0, min_peers=1, slack=0.0)


def test_a_record_comes_back_as_it_was(tmp_path):
    assert TrialRecord.read(tmp_path) is None
    kept = TrialRecord(7.5, {0: 0.1, 11: 0.2}, pruned=11, values=(0.2, 7.5))
    kept.write(tmp_path)
    assert TrialRecord.read(tmp_path) == kept
    assert [path.name for path in tmp_path.iterdir()] == ["trial.json"]


def test_objectives_are_checked(tmp_path):
    with pytest.raises(UserError, match="objectives names speed: choose from val/AP, val/mask_AP"):
        objective_values(["speed"], {}, tmp_path)
    with pytest.raises(UserError, match=r"leave callbacks\.pruner"):
        objective_values(["val/AP"], {}, tmp_path)


def test_figures_of_masks_and_keypoints_are_objectives_where_the_task_has_them(tmp_path):
    record(7.5, 0.1, 0.2).write(tmp_path)
    figures = {"AP": 0.3, "pose_AP": 0.4}
    assert objective_values(["pose_AP", "gflops"], figures, tmp_path) == (0.4, 7.5)
    assert TrialRecord.read(tmp_path).values == (0.4, 7.5)
    with pytest.raises(UserError, match="mask_AP, which this task does not measure: choose from"):
        objective_values(["mask_AP", "gflops"], figures, tmp_path)


@pytest.mark.parametrize(
    ("task", "monitor"), [("detect", "val/AP"), ("segment", "val/mask_AP"), ("pose", "val/pose_AP")]
)
def test_a_task_is_searched_by_its_own_figure(task, monitor, tmp_path):
    cfg = compose("train", ["run_dir=.", "hparams_search=optuna", f"task={task}"])
    assert list(cfg.objectives) == [monitor, "gflops"]
    assert cfg.callbacks.pruner.monitor == monitor
    TrialRecord(7.5, {0: 0.1, 1: 0.2}, monitor=monitor).write(tmp_path)
    assert objective_values(cfg.objectives, {"AP": 0.3}, tmp_path) == (0.2, 7.5)


def test_a_poor_training_ends_early_with_a_whole_run_folder(config, tmp_path):
    for name in ("a", "b"):  # cheaper and far better, from the first epoch
        (tmp_path / name).mkdir()
        record(0.01, 0.9, 0.9, 0.9, 0.9).write(tmp_path / name)
    own = tmp_path / "own"
    own.mkdir()
    search = [
        "+callbacks.pruner._target_=yolov9_lit.runs.search.pruner.ParetoPruner",
        f"+callbacks.pruner.directory={own}",
        "+callbacks.pruner.min_peers=2",
        "+callbacks.pruner.grace=0.25",
    ]
    figures = train(config(own, "model=gelan_t", "trainer.max_epochs=4", *search)).figures
    kept = TrialRecord.read(own)
    assert kept.pruned == 1, "the first epoch is within the grace"
    assert set(kept.curve) == {0, 1}
    assert json.loads((own / "results.json").read_text())["AP"] == figures["AP"]
    values = objective_values(["val/AP", "gflops", "AP50"], figures, own)
    assert values == (max(kept.curve.values()), kept.gflops, figures["AP50"])
    assert TrialRecord.read(own).values == values

    last = own / "checkpoints" / "last.ckpt"  # Killed before its end, it is not trained on.
    again = train(
        config(own, "model=gelan_t", "trainer.max_epochs=4", *search, f"ckpt_path={last}")
    )
    assert (again.epochs, again.figures) == (2, figures)
    assert TrialRecord.read(own).pruned == 1
