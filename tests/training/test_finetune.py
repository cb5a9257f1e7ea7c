"""Training that starts from a checkpoint, with parts of it frozen."""

import pytest
import torch
from test_train import rows

from yolov9_lit.app.train import train
from yolov9_lit.errors import UserError
from yolov9_lit.runs.identity import differences, experiment_config
from yolov9_lit.weights.structure import adopt_structure

pytestmark = pytest.mark.slow

PARTS = ("state_dict", "current_model_state")
"""Of a checkpoint: averaged weights and trained ones."""


@pytest.fixture(scope="module")
def start(config, tmp_path_factory):
    """A checkpoint with running statistics of its own."""
    folder = tmp_path_factory.mktemp("start")
    train(config(folder, "trainer.max_epochs=1", "test=false"))
    return folder / "checkpoints" / "last.ckpt"


def read(folder, name="last.ckpt"):
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def test_the_average_starts_from_the_loaded_weights(config, tmp_path, start):
    still = ["optimizer.lr=0", "schedule.warmup_bias_lr=0", "trainer.max_epochs=1", "test=false"]
    cfg = config(tmp_path, "model=checkpoint", f"ckpt={start}", *still)
    adopt_structure(cfg)
    train(cfg)
    given, left = torch.load(start, weights_only=True)["state_dict"], read(tmp_path)
    assert read(tmp_path)["global_step"] > 0
    for part in PARTS:
        assert left[part].keys() == given.keys()
        for name, value in left[part].items():
            moving = "running" in name or "num_batches" in name
            assert moving or torch.equal(value, given[name]), name


def test_frozen_parts_stay_bit_for_bit(config, tmp_path, start, monkeypatch):
    seen = []

    def on_train_batch_end(self, *_):
        for name, parameter in self.detector.named_parameters():
            if name.startswith(("backbone.", "head.box.")):
                assert parameter.grad is None, name
        seen.append({name for name, m in self.named_modules() if not m.training})

    monkeypatch.setattr(
        "yolov9_lit.training.module.DetectionModule.on_train_batch_end", on_train_batch_end
    )
    # The summary deploys the detector at the start: it must not thaw it.
    summary = "yolov9_lit.training.callbacks.model_summary.DetectorSummary"
    train(
        config(
            tmp_path,
            f"ckpt={start}",
            "freeze=[backbone,'*.box']",
            "trainer.max_epochs=2",
            "schedule.warmup_bias_lr=0.01",
            f"+callbacks.summary._target_={summary}",
        )
    )
    given, left = torch.load(start, weights_only=True)["state_dict"], read(tmp_path)
    frozen = [n for n in given if n.startswith("detector.backbone.") or ".box." in n]
    assert sum("running_mean" in name for name in frozen) > 30
    for part in PARTS:
        assert all(torch.equal(left[part][name], given[name]) for name in frozen)
        changed = [n for n in given if not torch.equal(left[part][n], given[n])]
        assert {n.split(".")[1] for n in changed} == {"neck", "head", "aux_branches", "aux_heads"}
    trained = sum(len(group["params"]) for group in left["optimizer_states"][0]["param_groups"])
    assert trained == sum(
        name not in frozen and not name.endswith(("running_mean", "running_var", "tracked"))
        for name in given
    )
    assert "detector.backbone.column.downs.0.conv.1" in seen[0]
    assert "detector.neck.down4" not in seen[0]
    assert seen[0] == seen[-1]


def test_a_finetuned_run_is_continued_exactly(config, tmp_path, start):
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    common = [
        f"ckpt={start}",
        "freeze=backbone",
        "test=false",
        "trainer.max_epochs=3",
        "schedule.min_warmup_batches=6",
        "callbacks.best.save_top_k=-1",
        "callbacks.best.filename='epoch{epoch}'",
    ]
    train(config(whole, *common))
    train(config(rest, *common, f"ckpt_path={whole / 'checkpoints' / 'epoch0.ckpt'}"))
    resumed, uninterrupted = rows(rest), rows(whole)
    assert set(resumed) == {1, 2}
    assert resumed == {epoch: uninterrupted[epoch] for epoch in resumed}
    one, other = read(whole), read(rest)
    for part in PARTS:
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())


def test_mistakes_are_told(config, tmp_path, start):
    with pytest.raises(UserError, match=r"freeze=backbon: .* no such part: .* backbone, .*neck"):
        train(config(tmp_path, "freeze=backbon"))
    with pytest.raises(UserError, match=r"freeze=3 is not valid: give text"):
        train(config(tmp_path, "freeze=3"))
    with pytest.raises(UserError, match=r"freeze=.* leaves nothing to train"):
        train(config(tmp_path, "freeze=[backbone,neck,head,'aux_*']"))
    with pytest.raises(UserError, match=r"There is no checkpoint none\.pt"):
        train(config(tmp_path, "ckpt=none.pt"))


def test_nothing_may_be_frozen(config, tmp_path):
    train(config(tmp_path, "freeze=null", "trainer.max_epochs=1", "test=false"))
    assert read(tmp_path)["global_step"] > 0


def test_start_and_frozen_parts_make_the_experiment(config, tmp_path):
    plain, tuned = (
        experiment_config(config(tmp_path, *overrides))
        for overrides in ((), ("ckpt=a.pt", "freeze=neck", "ckpt_path=b.ckpt"))
    )
    assert differences(plain, tuned, None) == ["ckpt", "freeze"]
