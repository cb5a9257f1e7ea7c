"""A run's folder: begun, passed over, continued, refused, kept from others."""

import csv
import dataclasses
import fcntl
import json
import threading
from functools import partial
from pathlib import Path

import pytest

from yolov9_lit.app.resolvers import job_slug
from yolov9_lit.errors import UserError
from yolov9_lit.runs.identity import differences, experiment_config
from yolov9_lit.runs.record import Result, RunRecord
from yolov9_lit.runs.resume import recorded, refusal_recorded
from yolov9_lit.training.loggers import ContinuingCSVLogger

OUTCOME = Result(
    {"AP": 0.25}, {"params": 1, "gflops": 2.0, "train_params": 3}, 2, 1.5, 100.0, {}, "t"
)


def never(cfg):
    raise AssertionError("trained again")


def test_a_finished_run_is_passed_over(job, tmp_path):
    def train(cfg):
        assert RunRecord.read(tmp_path).status == "running"
        return OUTCOME

    assert recorded(job("seed=3", "block=conv"), train) == OUTCOME
    assert recorded(job("seed=3", "block=conv"), never) == OUTCOME
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "done"
    assert (record["seed"], record["choices"]["block"]) == (3, "conv")
    assert record["overrides"][1:] == ["seed=3", "block=conv"]
    assert record["cost"] == OUTCOME.cost
    assert record["config"]["model"]["block"]["_target_"].endswith("ConvBlock")
    assert {"python", "torch", "lightning", "yolov9_lit"} <= record["versions"].keys()


def test_a_sweeps_folder_that_was_moved_goes_on(job, tmp_path):
    """As on another machine, where nothing of the old place is there."""

    def fail(cfg):
        (Path(cfg.run_dir) / "checkpoints").mkdir()
        (Path(cfg.run_dir) / "checkpoints" / "last.ckpt").touch()
        raise RuntimeError("the machine is gone")

    def jobs(sweep):
        return (job(f"run_dir={sweep}/{seed}", f"seed={seed}") for seed in (1, 2))

    done, half_done = jobs(tmp_path / "here")
    recorded(done, lambda cfg: OUTCOME)
    with pytest.raises(RuntimeError, match="gone"):
        recorded(half_done, fail)
    there = (tmp_path / "here").rename(tmp_path / "there")
    done, half_done = jobs(there)
    assert recorded(done, never) == OUTCOME
    seen = []
    recorded(half_done, lambda cfg: seen.append(cfg.ckpt_path) or OUTCOME)
    assert seen == [str(there / "2" / "checkpoints" / "last.ckpt")]
    assert not (tmp_path / "here").exists()


def test_a_failed_run_tells_its_error_and_is_tried_again_from_its_checkpoint(job, tmp_path):
    def fail(cfg):
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "last.ckpt").touch()
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        recorded(job(), fail)
    failed = RunRecord.read(tmp_path)
    assert failed.status == "failed"
    assert failed.error.strip().endswith("RuntimeError: out of luck")

    seen = []
    recorded(job(), lambda cfg: seen.append(cfg.ckpt_path) or OUTCOME)
    assert seen == [str(tmp_path / "checkpoints" / "last.ckpt")]
    assert RunRecord.read(tmp_path).resumed == 1
    assert RunRecord.read(tmp_path).error is None


def test_a_refused_job_is_recorded_and_may_come_again(job, tmp_path):
    with pytest.raises(UserError), refusal_recorded(job()):
        raise UserError("There is no checkpoint.")
    refused = RunRecord.read(tmp_path)
    assert (refused.status, refused.error) == ("failed", "There is no checkpoint.")
    assert recorded(job("optimizer.lr=0.5"), lambda cfg: OUTCOME) == OUTCOME
    with pytest.raises(UserError), refusal_recorded(job()):
        raise UserError("There is no checkpoint any more.")
    assert RunRecord.read(tmp_path).status == "done"


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_is_not_failed(job, tmp_path, signal):
    def interrupted(cfg):
        raise signal

    with pytest.raises(SystemExit):
        recorded(job(), interrupted)
    assert RunRecord.read(tmp_path).status == "interrupted"


def test_another_experiment_does_not_enter_the_folder(job, tmp_path):
    recorded(job("seed=1"), lambda cfg: OUTCOME)
    with pytest.raises(UserError, match=r"another config \(it differs in .*optimizer.lr\)"):
        recorded(job("seed=1", "optimizer.lr=0.5"), never)
    recorded(job("seed=1", "data.num_workers=0", "logger=tensorboard"), never)
    assert RunRecord.read(tmp_path).status == "done"


def test_another_process_is_waited_for(job, tmp_path):
    order = []

    def leave():
        order.append("other")
        fcntl.flock(held, fcntl.LOCK_UN)

    with (tmp_path / "run.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(1.0, leave).start()
        recorded(job(), lambda cfg: order.append("own") or OUTCOME)
    assert order == ["other", "own"]


def test_the_lock_goes_when_the_run_is_done(job, tmp_path):
    with pytest.raises(ZeroDivisionError):
        recorded(job(), lambda cfg: 1 / 0)
    assert (tmp_path / "run.lock").is_file(), "another process may wait for it"
    recorded(job(), lambda cfg: OUTCOME)
    assert not (tmp_path / "run.lock").exists()
    recorded(job(), never)
    assert not (tmp_path / "run.lock").exists()


def test_a_damaged_record_is_told(job, tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json is no record of a run"):
        recorded(job(), never)


def test_fingerprints_tell_experiments_apart(job):
    records = [
        RunRecord.begin(cfg := job(*overrides), experiment_config(cfg), overrides=[], choices={})
        for overrides in (
            (),
            ("seed=1",),
            ("callbacks.ema.decay=0.5",),
            ("data.num_workers=0", "sweep=x", "logger=wandb", "callbacks.pictures.count=1"),
        )
    ]
    base, seeded, averaged, elsewhere = (record.fingerprint for record in records)
    assert len({base, seeded, averaged}) == 3
    assert base == elsewhere
    assert records[0].config["callbacks"]["results"]["directory"] == "${run_dir}"
    execution = job().execution
    first, second = {"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "d": 2}
    assert differences(first, second, execution) == ["a.b", "c", "d"]
    last = {"callbacks": {"last": {"filename": "last"}}}
    assert not differences(last, {"callbacks": {}}, execution)
    old = {"data": {"_target_": "yolov9_lit.old.place.Data"}, "block": {"_target_": "mine.Block"}}
    new = {"data": {"_target_": "yolov9_lit.new.Data"}, "block": {"_target_": "others.Block"}}
    assert differences(old, new, execution) == ["block._target_"]
    assert dataclasses.replace(records[0], result=OUTCOME).fingerprint == base


def test_the_checkpoint_that_a_run_started_from_is_recorded(job, tmp_path):
    path = tmp_path / "start.pt"
    path.write_bytes(b"abc")

    def interrupted(cfg):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        recorded(job(f"ckpt={path}"), interrupted)
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert RunRecord.read(tmp_path).weights == {"path": str(path), "sha256": sha256}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    path.unlink()
    recorded(job(f"ckpt={path}"), lambda cfg: OUTCOME)
    assert RunRecord.read(tmp_path).weights["sha256"] == sha256, "it was begun with that file"


def test_slugs_name_jobs_by_their_overrides(job):
    slug_of = partial(job_slug, execution=job().execution)
    slug = slug_of(["model.csp_depth=2", "data.root=/some/where", "sweep=a"])
    assert slug.startswith("csp_depth=2-")
    for value in ("汽" * 200, "../[x] $y|z", "a b\n", "\udcff"):
        name = slug_of(["sweep=a", f"model.csp_depth={value}"])
        assert len(name.encode()) < 200
        assert not set(name) & set("/\\[]$| \n")
    assert slug == slug_of(["sweep=b", "data.root=/some/where", "model.csp_depth=2"])
    assert slug != slug_of(["model.csp_depth=2", "data.root=/some/else"])
    how = ["data.num_workers=2", "logger=wandb", "+logger.wandb.notes=x"]
    assert slug == slug_of(["model.csp_depth=2", "data.root=/some/where", *how])
    assert len(slug_of([f"key{i}=value" for i in range(100)])) < 128
    assert "/" not in slug_of(["x='a b/c'", "y=[1,{z:2}]"])


def test_metrics_are_kept_when_a_run_is_continued(tmp_path):
    first = ContinuingCSVLogger(tmp_path, name="", version="")
    for step in range(4):
        first.log_metrics({"loss": 10.0 - step}, step)
    first.save()
    first.log_metrics({"loss": 6.0, "val/AP": 0.5}, 4)  # a column more
    first.save()
    path = tmp_path / "metrics.csv"
    path.write_text(path.read_text() + "6.0,0.")  # killed in the middle of a row

    again = ContinuingCSVLogger(tmp_path, name="", version="")
    again.log_metrics({"loss": 70.0, "lr": 0.1}, 3)  # from the checkpoint made at step 2 on
    again.save()
    rows = list(csv.DictReader(path.open()))
    assert [(r["step"], r["loss"]) for r in rows] == [
        ("0", "10.0"),
        ("1", "9.0"),
        ("2", "8.0"),
        ("3", "70.0"),
    ]
    assert rows[3]["lr"] == "0.1"
    assert rows[0]["lr"] == ""
