"""The best checkpoint: by its figure, or the last where that chooses none; over all parts."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from yolov9_lit.errors import UserError
from yolov9_lit.training.callbacks.best import BestCheckpoint


class Trainer(SimpleNamespace):
    """As much of Lightning's as a checkpoint asks; a checkpoint is a file with the epoch in it."""

    def __init__(self, **values):
        strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all=True: decision)
        state = SimpleNamespace(fn=TrainerFn.FITTING)
        super().__init__(strategy=strategy, state=state, is_global_zero=True, loggers=[], **values)

    def save_checkpoint(self, path, weights_only):
        with open(path, "w") as file:
            file.write(str(self.current_epoch))


def best(folder, mode="max"):
    return BestCheckpoint(
        folder,
        "best",
        monitor="val/AP",
        mode=mode,
        auto_insert_metric_name=False,
        enable_version_counter=False,
    )


def run(callback, scores, first=0):
    """Let epochs of these scores pass; gives the epoch that is kept."""
    for epoch, score in enumerate(scores, first):
        trainer = Trainer(
            callback_metrics={"val/AP": torch.tensor(score)}, current_epoch=epoch, global_step=epoch
        )
        callback._save_topk_checkpoint(trainer, callback._monitor_candidates(trainer))
    with open(callback.best_model_path) as file:
        return int(file.read())


def test_a_figure_that_is_not_measured_is_a_sentence(tmp_path):
    callback = BestCheckpoint(tmp_path, "best", monitor="val/nonsense", mode="max")
    validated = SimpleNamespace(epoch_loop=SimpleNamespace(val_loop=SimpleNamespace(_has_run=True)))
    trainer = Trainer(fit_loop=validated, current_epoch=0, global_step=1)
    known = dict.fromkeys(("val/AP50", "val/AP", "lr"), torch.tensor(0.1))
    with pytest.raises(UserError, match=r"is val/nonsense.* give one of val/AP, val/AP50\."):
        callback._save_topk_checkpoint(trainer, known)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.1, 0.3, 0.2], 1),
        ([0.0, 0.0, 0.0], 2),
        ([-1.0, -1.0], 1),
        ([math.nan, math.nan], 1),
        ([0.0, 0.2, 0.0, math.nan], 1),
        ([-1.0, 0.0, 0.1, -1.0], 2),
    ],
)
def test_the_last_counts_as_best_until_the_figure_chooses_one(tmp_path, scores, kept):
    assert run(best(tmp_path), scores) == kept


def test_a_loss_chooses_the_least(tmp_path):
    assert run(best(tmp_path, "min"), [math.nan, 3.0, -1.0, 2.0]) == 2


@pytest.mark.parametrize(
    ("scores", "told"),
    [([-1.0], "could not be measured"), ([0.0], "was 0 in all epochs"), ([0.1], None)],
)
def test_a_choice_that_was_none_is_told(tmp_path, caplog, scores, told):
    callback = best(tmp_path)
    run(callback, scores)
    with caplog.at_level(logging.WARNING):
        callback.on_fit_end(Trainer(), None)
    assert (told in caplog.text) if told else not caplog.text


@pytest.mark.parametrize(("scores", "kept"), [([0.2, 0.1], 0), ([0.2, 0.5], 3)])
def test_the_best_of_the_part_before_is_the_best_of_both_parts(tmp_path, scores, kept):
    before, after = best(tmp_path / "a"), best(tmp_path / "b")
    (tmp_path / "a").mkdir()
    run(before, [0.3, 0.1])
    checkpoint = {"callbacks": {before.state_key: before.state_dict()}}
    trainer = Trainer(ckpt_path=tmp_path / "a" / "last.ckpt")
    after.on_load_checkpoint(trainer, None, checkpoint)
    after.load_state_dict(checkpoint["callbacks"][after.state_key])
    assert run(after, scores, first=2) == kept
    assert after.best_model_path == str(tmp_path / "b" / "best.ckpt")
    assert (tmp_path / "a" / "best.ckpt").read_text() == "0", "the part before stays as it is"


def test_a_best_that_is_gone_is_told(tmp_path, caplog):
    before, after = best(tmp_path / "a"), best(tmp_path / "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run(before, [0.3])
    checkpoint = {"callbacks": {before.state_key: before.state_dict()}}
    (tmp_path / "a" / "best.ckpt").unlink()
    after.on_load_checkpoint(Trainer(ckpt_path=tmp_path / "a" / "last.ckpt"), None, checkpoint)
    after.load_state_dict(checkpoint["callbacks"][after.state_key])
    assert "is not there" in caplog.text
    assert run(after, [0.1], first=1) == 1


def test_the_state_has_the_key_of_earlier_versions(tmp_path):
    earlier = ModelCheckpoint(tmp_path, "best", monitor="val/AP", mode="max")
    assert best(tmp_path).state_key == earlier.state_key
