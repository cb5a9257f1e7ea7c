"""The trial of learning rates: which are tried, which is suggested, and what it leaves."""

import csv
import math

import pytest

from yolov9_lit.app.train import run_training
from yolov9_lit.errors import UserError
from yolov9_lit.training import lr_range
from yolov9_lit.training.lr_range import RateTried, RisingRate, smoothed, suggested


def test_rates_rise_by_a_factor_with_each_update_of_the_nominal_batch():
    schedule = RisingRate(nominal_batch=16, updates=7)
    settings = [
        schedule.at(batch, epoch, batches=5, epochs=9, batch_size=8)
        for epoch in range(3)
        for batch in range(5)
    ]
    assert {setting.accumulate for setting in settings} == {2}
    rates = [setting.lr_factor for setting in settings[:14]]
    assert rates[::2] == rates[1::2], "the batches of an update"
    assert rates[::2] == pytest.approx([10.0**power for power in range(-6, 1)])


def test_smoothing_leaves_a_constant_and_begins_with_the_first_value():
    assert smoothed([3.0] * 5) == pytest.approx([3.0] * 5)
    assert smoothed([7.0, 1.0])[0] == pytest.approx(7.0)


def curve(loss):
    rates = [10 ** (-6 + i / 10) for i in range(60)]
    return [RateTried(rate, loss(rate), loss(rate)) for rate in rates]


def test_the_steepest_fall_is_suggested():
    found = suggested(curve(lambda rate: 5 - math.tanh(2 * math.log10(rate / 1e-3))))
    assert found == pytest.approx(1e-3, rel=0.3)


def test_a_jump_down_of_a_loss_that_has_diverged_is_no_fall():
    def loss(rate):
        if rate < 0.05:
            return 5 - math.tanh(2 * math.log10(rate / 1e-3))
        return 20 if rate < 0.5 else 12

    assert suggested(curve(loss)) == pytest.approx(1e-3, rel=0.3)


def test_a_loss_that_never_falls_suggests_nothing():
    assert suggested(curve(lambda rate: 1 + rate)) is None
    assert suggested(curve(lambda rate: 1.0)) is None


TINY = [
    *("model=gelan_t", "model.elan_depth=1", "block=conv", "trainer=cpu", "data.num_workers=0"),
    *("data.image_size=64", "data.batch_size=4", "schedule.nominal_batch=8", "~data.prepare"),
    "lr_find=true",
]


def test_a_trial_leaves_a_table_and_a_plot_and_no_run(
    job, tiny_shapes, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(lr_range, "UPDATES", 14)
    caplog.set_level("INFO")
    assert run_training(job(*TINY, f"data.root={tiny_shapes}", "optimizer.lr=0")) is None
    assert {path.name for path in tmp_path.iterdir()} == {"lr_find.csv", "lr_find.png"}
    with (tmp_path / "lr_find.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert 10 <= len(rows) <= 14
    factor = 1e6 ** (1 / 13)
    assert [row["rate"] for row in rows] == pytest.approx(
        [1e-6 * factor**i for i in range(len(rows))]
    )
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert "optimizer.lr=" in caplog.text or "fell at no rate" in caplog.text


def test_what_is_no_start_of_one_training_is_refused(job, tiny_shapes, tmp_path):
    (tmp_path / "a.ckpt").touch()
    cfg = job(*TINY, f"data.root={tiny_shapes}", f"ckpt_path={tmp_path}/a.ckpt")
    with pytest.raises(UserError, match="lr_find=true tries the start of a training"):
        run_training(cfg)
    cfg = job(*TINY, f"data.root={tiny_shapes}", "hydra.mode=MULTIRUN")
    with pytest.raises(UserError, match="lr_find=true is no job of a sweep"):
        run_training(cfg)
