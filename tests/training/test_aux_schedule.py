"""Auxiliary branches that count less and less, or in a part of the training only."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from yolov9_lit.app.train import train
from yolov9_lit.errors import UserError
from yolov9_lit.runs.identity import experiment_config
from yolov9_lit.training.aux_schedule import AuxiliarySchedule
from yolov9_lit.training.module import DetectionModule

ROOT = Path(__file__).parents[2]
SMALL = ("model=gelan_t", "model.elan_depth=1", "block=conv", "schedule.nominal_batch=4")
SHORT = (*SMALL, "schedule.warmup_epochs=0", "test=false", "trainer.max_epochs=2")


def factors(epochs=10, **settings):
    schedule = AuxiliarySchedule(**settings)
    return [schedule.at(epoch, epochs) for epoch in range(epochs)]


def test_as_published_the_branches_always_count_the_same():
    assert factors() == [1.0] * 10
    assert AuxiliarySchedule().always
    assert not str(AuxiliarySchedule())


@pytest.mark.parametrize("epochs", [1, 2, 7, 10, 500])
@pytest.mark.parametrize("share", [0.25, 0.3, 0.5])
def test_the_two_parts_of_a_training_make_the_whole(epochs, share):
    early, late = factors(epochs, end=share), factors(epochs, start=share)
    assert [a + b for a, b in zip(early, late, strict=True)] == [1.0] * epochs
    assert sum(early) == math.ceil(share * epochs), "an epoch that has begun is not cut"
    assert early == sorted(early, reverse=True)


def test_decays_fall_from_one_within_the_window():
    assert factors(4, decay="linear") == [1, 0.75, 0.5, 0.25]
    assert factors(4, decay="linear", final_factor=0.5) == [1, 0.875, 0.75, 0.625]
    assert factors(4, decay="linear", start=0.5) == [0, 0, 1, 0.5]
    cosine = factors(8, decay="cosine", end=0.5)
    assert cosine == pytest.approx([1, 0.853553, 0.5, 0.146447, 0, 0, 0, 0], abs=1e-6)


def test_detached_from_a_share_of_the_epochs_on():
    published = AuxiliarySchedule(detach=0.0333)
    assert [published.detached(epoch, 300) for epoch in (0, 9, 10, 299)] == [False] * 2 + [True] * 2
    assert [published.detached(epoch, 12) for epoch in (0, 1)] == [False, True]
    assert published.always
    assert str(published) == "detached from 3.33 % of the epochs"
    assert not any(AuxiliarySchedule().detached(epoch, 5) for epoch in range(5))
    assert AuxiliarySchedule(detach=0).detached(0, 5)


def test_an_empty_window_is_refused():
    with pytest.raises(ValueError, match=r"start is 0\.5, it must be less than end, 0\.5"):
        AuxiliarySchedule(start=0.5, end=0.5)


@pytest.mark.slow
def test_an_empty_window_is_one_sentence_of_a_training(config, tmp_path):
    cfg = config(tmp_path, *SHORT, "aux_schedule.start=0.6", "aux_schedule.end=0.5")
    with pytest.raises(UserError, match=r"aux_schedule.start=0.6 .*must be less than end"):
        train(cfg)


def test_what_earlier_versions_could_not_do_is_no_part_of_an_experiment_without_it(
    config, tmp_path
):
    plain = experiment_config(config(tmp_path))
    assert "aux_schedule" not in plain
    assert not {"guide", "distillation"} & plain["loss"].keys()
    early = experiment_config(config(tmp_path, "aux_schedule=early"))["aux_schedule"]
    assert early["end"] == 0.5
    assert "detach" not in early
    guided = experiment_config(config(tmp_path, "pgi=agm"))
    assert (guided["loss"]["guide"], guided["aux_schedule"]["detach"]) == ("agm", 0.0333)


@pytest.fixture
def watched(monkeypatch):
    """Of each batch of the trainings that follow, the parameters after it by name."""
    states = []

    def on_train_batch_end(self, *_):
        states.append({name: p.detach().clone() for name, p in self.detector.named_parameters()})

    monkeypatch.setattr(DetectionModule, "on_train_batch_end", on_train_batch_end, raising=False)
    return states


def moved(before, after):
    """The parts whose parameters differ."""
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def curve(folder, name):
    with (folder / "metrics.csv").open() as file:
        return [row[name] for row in csv.DictReader(file) if row.get("train/loss")]


@pytest.mark.slow
@pytest.mark.parametrize(("pgi", "off"), [("fpn_early", 1), ("fpn_late", 0)])
def test_a_branch_that_is_off_is_left_as_it_is(config, tmp_path, watched, pgi, off):
    train(config(tmp_path, *SHORT, f"pgi={pgi}", "optimizer.weight_decay=0.1"))
    batches = len(watched) // 2
    for epoch in range(2):
        first, last = watched[epoch * batches], watched[(epoch + 1) * batches - 1]
        aux = set() if epoch == off else {"aux_branches", "aux_heads"}
        assert moved(first, last) == {"backbone", "neck", "head"} | aux, epoch
    weights = ["0.0" if epoch == off else "0.25" for epoch in range(2)]
    assert curve(tmp_path, "train/fpn/weight") == weights
    assert [value == "" for value in curve(tmp_path, "train/fpn/box")] == [
        w == "0.0" for w in weights
    ]


@pytest.mark.slow
def test_a_detached_branch_goes_on_learning_by_itself(config, tmp_path, watched):
    train(config(tmp_path / "detached", *SHORT, "pgi=agm", "aux_schedule.detach=0.5"))
    detached = watched[:]
    watched.clear()
    train(config(tmp_path / "attached", *SHORT, "pgi=agm", "aux_schedule.detach=1"))
    half = len(watched) // 2
    assert not moved(detached[half - 1], watched[half - 1]), "the first epoch is the same"
    assert moved(detached[-1], watched[-1])
    parts = {"backbone", "neck", "head", "aux_branches", "aux_heads"}
    assert moved(detached[half], detached[-1]) == parts


@pytest.mark.slow
def test_a_branch_that_is_dropped_teaches_the_main_head_no_longer(config, tmp_path):
    train(config(tmp_path, *SHORT, "pgi=icn_distill", "aux_schedule=early"))
    for term in ("distill_box", "distill_cls"):
        first, second = curve(tmp_path, f"train/main/{term}")
        assert float(first) > 0
        assert second == ""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_before_its_start_a_branch_changes_nothing(config, tmp_path, watched, optimizer):
    """The first half is, bit by bit, a training without a branch."""
    short = [*SHORT, f"optimizer={optimizer}"]
    train(config(tmp_path / "late", *short, "pgi=fpn_late"))
    late = watched[: len(watched) // 2]
    watched.clear()
    train(config(tmp_path / "none", *short, "pgi=none"))
    for mine, other in zip(late, watched, strict=False):
        assert all(torch.equal(mine[name], other[name]) for name in other)


@pytest.mark.slow
@pytest.mark.parametrize(("pgi", "epochs"), [("fpn_early", 3), ("fpn_late", 1)])
def test_a_resumed_training_ends_with_the_same_weights(config, tmp_path, pgi, epochs):
    """Interrupted after the branch was dropped, and before it began."""

    def state(folder):
        content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        return {**content["state_dict"], **content["current_model_state"]}

    short = (*SHORT, f"pgi={pgi}", "trainer.max_epochs=4")
    train(config(tmp_path / "whole", *short))
    train(config(tmp_path / "part", *short, f"+trainer.max_steps={4 * epochs}"))
    last = tmp_path / "part" / "checkpoints" / "last.ckpt"
    train(config(tmp_path / "resumed", *short, f"ckpt_path={last}"))
    whole, resumed = state(tmp_path / "whole"), state(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_a_branch_that_never_teaches_is_told(config, tmp_path, caplog):
    train(config(tmp_path, *SHORT, "pgi=fpn_late", "trainer.max_epochs=1"))
    assert "The auxiliary branches teach in none of 1 epochs" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("pgi", ["fpn_early", "fpn_late"])
def test_two_devices_switch_together(tmp_path, tiny_shapes, pgi):
    command = [
        *(sys.executable, "-m", "yolov9_lit.train", *SHORT, f"pgi={pgi}", "trainer=cpu"),
        *("trainer.devices=2", "trainer.strategy=ddp", "data.num_workers=0"),
        *("trainer.enable_progress_bar=false", "data.image_size=64", "data.batch_size=2"),
        *(f"data.root={tiny_shapes}", "~data.prepare", f"hydra.run.dir={tmp_path}"),
        "evaluation.report=false",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    weights = [float(w) for w in curve(tmp_path, "train/fpn/weight")]
    assert weights == ([0.25, 0] if pgi == "fpn_early" else [0, 0.25])
