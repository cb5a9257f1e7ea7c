"""`trainer.max_time`: where a training ends, how that is told, and how it goes on."""

import csv
from itertools import count
from types import SimpleNamespace

import pytest

from yolov9_lit.app.train import run_training
from yolov9_lit.research.report.rows import make_rows
from yolov9_lit.research.report.runs import read_run
from yolov9_lit.runs.identity import experiment_config, fingerprint
from yolov9_lit.runs.record import RunRecord
from yolov9_lit.runs.sweeps import print_sweep
from yolov9_lit.training.time_limit import leaves_time

TINY = [
    *("model=gelan_t", "model.elan_depth=1", "block=conv", "trainer=cpu", "data.num_workers=0"),
    *("data.image_size=64", "data.batch_size=4", "~data.prepare", "evaluation.report=false"),
    *("trainer.enable_progress_bar=false", "~callbacks.summary", "trainer.max_epochs=3"),
]


def test_what_leaves_time():
    assert leaves_time(None, "00:00:10:00")
    assert leaves_time("00:01:00:00", "00:00:10:00")
    assert not leaves_time("00:00:10:00", "00:00:10:00")
    assert not leaves_time("00:00:00:59", "00:00:01:00")


def test_it_makes_no_other_experiment(job):
    limited, free = (job(f"trainer.max_time={limit}") for limit in ("00:00:10:00", "null"))
    assert fingerprint(experiment_config(limited)) == fingerprint(experiment_config(free))


@pytest.mark.slow
def test_a_training_whose_time_is_up_is_done_until_it_is_given_more(
    job, tiny_shapes, tmp_path, monkeypatch, caplog, capsys
):
    clock = count()  # A second goes by with each look at it, some of them in each epoch.
    clocks = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("lightning.pytorch.callbacks.timer.time", clocks)
    folder = tmp_path / "job"

    def start(limit):
        caplog.clear()
        place = (f"data.root={tiny_shapes}", f"run_dir={folder}")
        return run_training(job(*TINY, *place, f"trainer.max_time={limit}"))

    up = "Time was up after 1 of 3 epochs; a trainer.max_time above 00:00:00:02"
    caplog.set_level("INFO")
    figures = start("00:00:00:02")
    assert up in caplog.text
    record = RunRecord.read(folder)
    assert (record.status, record.result.epochs) == ("done", 1)
    assert record.result.figures == figures
    ((row,), left) = make_rows([read_run(folder)])
    assert not left
    assert "ended before the last epoch" in row.why_not_comparable
    print_sweep(tmp_path)
    assert "Time was up" in capsys.readouterr().err

    assert start("00:00:00:02") == figures
    assert "passed over" in caplog.text
    assert up in caplog.text

    start("00:01:00:00")
    assert "Time was up" not in caplog.text
    record = RunRecord.read(folder)
    assert (record.status, record.resumed, record.result.epochs) == ("done", 1, 3)
    assert record.result.time_limit is None
    with (folder / "metrics.csv").open() as file:
        trained = [row["epoch"] for row in csv.DictReader(file) if row["train/loss"]]
    assert trained == ["0", "1", "2"]
