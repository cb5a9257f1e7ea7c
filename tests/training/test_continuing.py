"""A training that diverges, and one that is gone on with in another folder."""

import csv
import json
import logging

import pytest
import torch

from yolov9_lit.app.train import train
from yolov9_lit.errors import UserError
from yolov9_lit.training.divergence import DivergedError

pytestmark = pytest.mark.slow

SMALL = (
    "model=gelan_t",
    "model.elan_depth=1",
    "block=conv",
    "schedule.warmup_epochs=0",
    "schedule.nominal_batch=4",
    "trainer.log_every_n_steps=1",
    "test=false",
)


@pytest.fixture(scope="module")
def part(config, tmp_path_factory):
    """Folder of a training of two epochs."""
    folder = tmp_path_factory.mktemp("part")
    train(config(folder, *SMALL, "trainer.max_epochs=2"))
    return folder


@pytest.fixture
def go_on(config, part, tmp_path):
    """Go on with that training in another folder."""

    def run(*overrides):
        last = part / "checkpoints" / "last.ckpt"
        return train(config(tmp_path, *SMALL, f"ckpt_path={last}", *overrides))

    return run


def column(folder, name):
    with (folder / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def finite(path):
    content = torch.load(path, weights_only=True)
    states = (content["state_dict"], content["current_model_state"])
    return all(tensor.isfinite().all() for state in states for tensor in state.values())


def test_a_training_that_diverges_says_where_and_keeps_sound_checkpoints(config, tmp_path):
    cfg = config(tmp_path, *SMALL, "trainer.max_epochs=3", "optimizer.lr=1e12")
    with pytest.raises(DivergedError, match=r"batch 2 of epoch 1 of 3 is not finite"):
        train(cfg)
    assert not list((tmp_path / "checkpoints").glob("*.ckpt"))


def test_checkpoints_before_the_divergence_are_finite_and_named(config, part, tmp_path, go_on):
    last = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(DivergedError, match="of epoch 3 of 4 is not finite"):
        go_on("trainer.max_epochs=4", "optimizer.lr=1e12")
    assert finite(part / "checkpoints" / "last.ckpt")
    assert not last.exists() or finite(last)


def test_weights_that_are_not_finite_are_refused(config, part, tmp_path):
    content = torch.load(part / "checkpoints" / "last.ckpt", weights_only=True)
    next(iter(content["state_dict"].values())).fill_(torch.nan)
    torch.save(content, tmp_path / "nan.ckpt")
    for key in ("ckpt", "ckpt_path"):
        cfg = config(tmp_path, *SMALL, "trainer.max_epochs=3", f"{key}={tmp_path / 'nan.ckpt'}")
        with pytest.raises(UserError, match="not finite"):
            train(cfg)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.elan_depth=2", "of another model.*ckpt="),
        ("optimizer=adamw", "of another optimizer or freeze"),
        ("freeze=backbone", "of another optimizer or freeze"),
        ("data.classes=[circle,triangle,square,star]", "of other data.classes"),
    ],
)
def test_what_does_not_fit_is_one_sentence(go_on, override, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        go_on("trainer.max_epochs=3", override)
    assert "\n" not in str(error.value)


def test_other_classes_are_one_sentence(go_on, config, tmp_path, tiny_shapes, part):
    root = tmp_path / "other"
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (root / split).symlink_to(tiny_shapes / split)
        name = f"annotations/instances_{split}.json"
        content = json.loads((tiny_shapes / name).read_text())
        for category in content["categories"]:
            category["name"] += "s"
        (root / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"is of other classes .*ckpt="):
        go_on("trainer.max_epochs=3", f"data.root={root}")


def test_another_rate_is_used(go_on, tmp_path):
    go_on("trainer.max_epochs=4", "optimizer.lr=0.002")
    rates = column(tmp_path, "lr")
    # The third epoch of four, an epoch late as published: 0.01 + 0.99 * (1 - 1 / 4) of the rate.
    assert rates[0] == pytest.approx(0.002 * (0.01 + 0.99 * 0.75))
    assert max(rates) <= 0.002


def test_nothing_left_to_train_and_what_is_ignored_are_told(go_on, part, caplog):
    with caplog.at_level(logging.WARNING):
        go_on("trainer.max_epochs=2", f"ckpt={part / 'checkpoints' / 'best.ckpt'}")
    assert "No epoch was left to train of trainer.max_epochs=2" in caplog.text
    assert "best.ckpt is not used" in caplog.text
