"""Parts that are frozen in the first epochs: exactly these, and continued from before and after."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from yolov9_lit.app.settings import check_training
from yolov9_lit.app.train import train
from yolov9_lit.errors import UserError
from yolov9_lit.runs.identity import experiment_config, fingerprint
from yolov9_lit.training.freezing import FrozenAtFirst, freeze
from yolov9_lit.training.module import DetectionModule

SMALL = (
    *("model=gelan_t", "model.elan_depth=1", "block=conv", "freeze=backbone", "test=false"),
    *("schedule.nominal_batch=4", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"),
    *("callbacks.best.save_top_k=-1", "callbacks.best.filename='epoch{epoch}'"),
)


def test_release_leaves_each_part_as_it_was():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 1))
    model[0][0].bias.requires_grad_(False)
    model[0][1].eval()

    def states():
        modes = {name: module.training for name, module in model.named_modules()}
        return modes, {name: p.requires_grad for name, p in model.named_parameters()}

    before = states()
    frozen = freeze(model, ["0", "0.*"])
    assert [name for name, trained in states()[1].items() if trained] == ["1.weight", "1.bias"]
    frozen.release()
    assert states() == before


def test_an_epoch_alone_tells_what_is_frozen():
    model = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    at_first = FrozenAtFirst("a", 2)
    told = [at_first.follow(model, epoch) for epoch in (0, 0, 1, 2, 2, 3)]
    assert told == ["", "", "", "a", "", ""]
    later = FrozenAtFirst("a", 2)
    assert later.follow(model, 5) == ""
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.slow
def test_a_training_is_continued_exactly_from_before_and_after(config, tmp_path, monkeypatch):
    seen = []

    def on_train_batch_end(self, *_):
        down = self.detector.backbone.column.downs[0].conv
        values = (down[0].weight, down[1].running_mean, down[1].weight)
        epoch = self.trainer.current_epoch
        seen.append((epoch, down[1].training, [value.detach().clone() for value in values]))

    monkeypatch.setattr(DetectionModule, "on_train_batch_end", on_train_batch_end)
    common = [*SMALL, "unfreeze_epoch=1", "trainer.max_epochs=3"]
    whole = tmp_path / "whole"
    train(config(whole, *common))
    assert [(epoch, training) for epoch, training, _ in seen] == [
        *((0, False), (0, False), (1, True), (1, True), (2, True), (2, True))
    ]
    values = [value for *_, value in seen]
    assert all(torch.equal(*pair) for pair in zip(values[0], values[1], strict=True))
    assert not values[1][1].any(), "the running statistics of the start"
    for before, after in pairwise(values[1:]):
        assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))

    expected = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    for epoch in (0, 1):
        rest = tmp_path / str(epoch)
        train(config(rest, *common, f"ckpt_path={whole}/checkpoints/epoch{epoch}.ckpt"))
        last = torch.load(rest / "checkpoints" / "last.ckpt", weights_only=True)
        for part in ("state_dict", "current_model_state"):
            for name, value in expected[part].items():
                assert torch.equal(value, last[part][name]), (epoch, name)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("unfreeze_epoch=2",), "unfreeze_epoch=2 has nothing to release: give the parts"),
        (
            ("unfreeze_epoch=4", "freeze=backbone", "trainer.max_epochs=4"),
            r"unfreeze_epoch=4 leaves no epoch after it of trainer\.max_epochs=4: give a smaller",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(config, tmp_path, overrides, sentence):
    with pytest.raises(UserError, match=f"^{sentence}"):
        check_training(config(tmp_path, *overrides))


def test_it_is_of_the_experiment_and_unsaid_where_it_is_not_used(config, tmp_path):
    plain, used = (
        experiment_config(config(tmp_path, "freeze=backbone", *more))
        for more in ((), ("unfreeze_epoch=1",))
    )
    assert "unfreeze_epoch" not in plain
    assert fingerprint(plain) != fingerprint(used)
