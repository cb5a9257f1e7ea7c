"""`data.batch_size=auto`: a number before the run begins, kept in its record; the same training."""

import csv
import json
import logging
import os
from functools import partial

import pytest
import torch

from yolov9_lit.app import batch_size as module
from yolov9_lit.app.batch_size import Found, settle_batch_size
from yolov9_lit.app.configs import compose
from yolov9_lit.app.settings import check_training
from yolov9_lit.app.train import build_module, train
from yolov9_lit.errors import UserError
from yolov9_lit.runs.record import Result, RunRecord
from yolov9_lit.runs.resume import recorded

FOUND = Found(16, 4, [1, 2, 4, 8, 16, 32, 64], 20, 20.0, "a GPU")


@pytest.fixture
def auto(tmp_path):
    return lambda *given: compose("train", [f"run_dir={tmp_path}", "data.batch_size=auto", *given])


@pytest.fixture
def found(monkeypatch):
    """Have searches give an answer at once; count them."""
    answers = []
    monkeypatch.setattr(module, "_apart", lambda *given: answers.append(FOUND) or FOUND)
    return answers


def test_the_number_is_put_in_and_told(auto, found, caplog):
    cfg = auto()
    with caplog.at_level(logging.INFO):
        settle_batch_size(cfg, None)
    assert cfg.data.batch_size == 16
    assert caplog.messages == [
        "data.batch_size=16, the largest of [1, 2, 4, 8, 16, 32, 64] whose step, with 20 objects "
        "an image, fits in 90% of the 20.0 GB free on a GPU; an update is of 4 x 16 images"
    ]


def test_a_number_that_is_given_is_kept(auto, found):
    cfg = auto("data.batch_size=3")
    settle_batch_size(cfg, None)
    assert cfg.data.batch_size == 3
    assert not found


def test_where_not_even_one_fits_a_sentence_says_so(auto, monkeypatch):
    monkeypatch.setattr(module, "_apart", lambda *given: FOUND._replace(size=None))
    with pytest.raises(UserError, match=r"^data.batch_size=auto: a step with 1 of 160 px does not"):
        settle_batch_size(auto(), None)


def test_a_training_that_is_continued_keeps_its_number(auto, found, tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"batch_size": 8}, path)
    cfg = auto(f"ckpt_path={path}")
    settle_batch_size(cfg, None)
    assert cfg.data.batch_size == 8
    torch.save({}, path)
    with pytest.raises(UserError, match="does not tell its batch size: give data"):
        settle_batch_size(auto(f"ckpt_path={path}"), None)
    assert not found


@pytest.mark.parametrize(
    ("overrides", "launched"),
    [(["trainer.num_nodes=2"], False), (["trainer=ddp"], True), (["trainer.devices=2"], True)],
)
def test_ranks_that_could_not_agree_are_refused(auto, found, monkeypatch, overrides, launched):
    monkeypatch.setattr(module.TorchElasticEnvironment, "detect", lambda: launched)
    with pytest.raises(UserError, match="might find different numbers: give data"):
        settle_batch_size(auto(*overrides), None)
    assert not found


def test_ranks_that_lightning_starts_may_search(auto, found):
    settle_batch_size(auto("trainer=ddp"), None)
    assert found


def test_the_setting_is_a_number_or_auto(auto):
    check_training(auto())
    with pytest.raises(
        UserError, match=r"batch_size=big is not valid: give a whole number, .*auto"
    ):
        check_training(auto("data.batch_size=big"))


@pytest.fixture
def job(job):
    return partial(job, "data.batch_size=auto")


def test_a_run_is_recorded_and_continued_with_its_number(job, found, tmp_path):
    seen, settle = [], partial(settle_batch_size, build_module=None)

    def train_then_stop(cfg):
        assert RunRecord.read(tmp_path).config["data"]["batch_size"] == 16, "before it begins"
        seen.append(cfg.data.batch_size)
        if len(seen) == 1:
            raise RuntimeError("stopped")
        return Result()

    with pytest.raises(RuntimeError, match="stopped"):
        recorded(job(), train_then_stop, settle)
    recorded(job(), train_then_stop, settle)  # goes on
    recorded(job(), train_then_stop, settle)  # is passed over
    assert seen == [16, 16]
    assert len(found) == 1
    assert json.loads((tmp_path / "run.json").read_text())["config"]["data"]["batch_size"] == 16


def test_a_search_that_fails_is_recorded_and_done_again(job, found, monkeypatch, tmp_path):
    settle = partial(settle_batch_size, build_module=None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_apart", lambda *given: FOUND._replace(size=None))
        with pytest.raises(UserError, match="does not fit"):
            recorded(job(), None, settle)
    record = RunRecord.read(tmp_path)
    assert record.status == "failed"
    assert "does not fit" in record.error
    assert recorded(job(), lambda cfg: Result(epochs=cfg.data.batch_size), settle).epochs == 16


@pytest.mark.slow
def test_training_is_bit_for_bit_the_one_with_the_number_written_out(config, tmp_path):
    common = ["trainer.max_epochs=2", "schedule.nominal_batch=6", "test=false", "augment=paper"]
    cfg = config(tmp_path / "auto", *common, "data.batch_size=auto")
    train(cfg)
    number = cfg.data.batch_size
    assert number == 6, "this machine has room for six images of 64 pixels"
    train(config(tmp_path / "written", *common, f"data.batch_size={number}"))
    ends = [
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True)
        for run in ("auto", "written")
    ]
    assert ends[0]["batch_size"] == number
    for part in ("state_dict", "current_model_state"):
        for name, value in ends[0][part].items():
            assert torch.equal(value, ends[1][part][name]), name
    auto, written = (measured(tmp_path / run / "metrics.csv") for run in ("auto", "written"))
    assert auto == written


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "pose"])
def test_a_task_is_tried_with_its_own_targets(config, tmp_path, task):
    cfg = config(tmp_path, f"task={task}", "schedule.nominal_batch=2", "data.batch_size=auto")
    settle_batch_size(cfg, build_module)
    assert cfg.data.batch_size in (1, 2)


def measured(file):
    """Rows of a training but for what it cost."""
    with file.open() as lines:
        return [
            {name: value for name, value in row.items() if not name.startswith("cost/")}
            for row in csv.DictReader(lines)
        ]


def killed(cfg, datamodule):
    """Stands for a system that ends the process for want of memory."""
    os._exit(1)


@pytest.mark.slow
def test_a_search_that_the_system_ends_is_told(config, tmp_path):
    with pytest.raises(UserError, match="most likely for want of memory"):
        settle_batch_size(config(tmp_path, "data.batch_size=auto"), killed)
