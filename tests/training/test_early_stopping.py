"""Early stopping by several figures: one more is a line of the config, and either ends it."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.trainer.states import TrainerFn

from yolov9_lit.app.settings import check_training
from yolov9_lit.training.trainer import build_parts

TWO = (
    *("callbacks=early_stopping", "callbacks.early_stopping.patience=3"),
    "+callbacks.loss_stopping={_target_: lightning.pytorch.callbacks.EarlyStopping, "
    "monitor: val/loss, mode: min, patience: 2}",
)


@pytest.mark.parametrize(
    ("AP", "loss", "ended", "by"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], [3.0, 2.0, 2.5, 2.4, 2.3], 3, "val/loss"),
        ([0.2, 0.1, 0.2, 0.1, 0.1], [3.0, 2.0, 1.5, 1.4, 1.3], 3, "val/AP"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [3.0, 2.0, 2.5, 1.4, 1.3], None, None),
    ],
)
def test_the_first_figure_that_no_longer_improves_ends_the_training(
    config, tmp_path, AP, loss, ended, by
):
    cfg = config(tmp_path, *TWO)
    check_training(cfg)
    stopping = [part for part in build_parts(cfg.callbacks) if isinstance(part, EarlyStopping)]
    assert [one.monitor for one in stopping] == ["val/AP", "val/loss"]
    assert len({one.state_key for one in stopping}) == 2, "each has its own in checkpoints"
    trainer = SimpleNamespace(
        should_stop=False,
        fast_dev_run=False,
        sanity_checking=False,
        val_check_interval=1.0,
        check_val_every_n_epoch=1,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        strategy=SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision),
        world_size=1,
    )
    for one in stopping:
        one.setup(trainer, None, "fit")
    for epoch, figures in enumerate(zip(AP, loss, strict=True)):
        trainer.current_epoch = epoch
        trainer.callback_metrics = dict(
            zip(("val/AP", "val/loss"), map(torch.tensor, figures), strict=True)
        )
        for one in stopping:
            one.on_train_epoch_end(trainer, None)
        if trainer.should_stop:
            break
    assert (epoch if trainer.should_stop else None) == ended
    told = [one.monitor for one in stopping if one.stopping_reason_message]
    assert told == [by] * (by is not None)
