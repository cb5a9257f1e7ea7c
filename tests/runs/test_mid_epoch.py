"""A run that goes on in the middle of an epoch: nothing is seen twice, the weights are the same."""

import csv
import shutil

import pytest
import torch

from yolov9_lit.app.train import train
from yolov9_lit.errors import UserError
from yolov9_lit.training.checkpointing import AtomicCheckpointIO
from yolov9_lit.training.module import DetectionModule

pytestmark = pytest.mark.slow

EPOCHS = 3
COMMON = [
    "model=gelan_t",
    "test=false",
    "augment=paper",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.limit_val_batches=1",
    "data.batch_size=2",
    "data.close_mosaic_epochs=1",
    "schedule.nominal_batch=4",
    "schedule.min_warmup_batches=9",
    "callbacks.last.minutes=0",
]


@pytest.fixture
def trained_on(monkeypatch):
    """Image ids of each batch, by epoch."""
    seen = {}
    step = DetectionModule.training_step

    def training_step(self, batch, batch_idx):
        seen.setdefault(self.current_epoch, []).append([info.image_id for info in batch.infos])
        return step(self, batch, batch_idx)

    monkeypatch.setattr(DetectionModule, "training_step", training_step)
    return seen


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Copies of all checkpoints written in mid-epoch, by epoch and batches done."""
    copies = {}
    save = AtomicCheckpointIO.save_checkpoint

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        save(self, checkpoint, path, storage_options)
        (loader,) = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
        if loader["batches"]:
            copy = tmp_path / f"{checkpoint['epoch']}-{loader['batches']}.ckpt"
            copies[checkpoint["epoch"], loader["batches"]] = shutil.copy(path, copy)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", save_checkpoint)
    return copies


def last(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def losses(folder):
    """Training losses of metrics.csv, by epoch."""
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("train/loss")]
    return {
        int(row["epoch"]): {k: v for k, v in row.items() if k.startswith(("step", "train/"))}
        for row in rows
    }


def test_a_resumed_run_ends_with_the_same_weights(config, tmp_path, trained_on, kept):
    train(config(tmp_path / "whole", *COMMON))
    whole, expected = dict(trained_on), last(tmp_path / "whole")
    for batches in whole.values():
        assert len({image_id for batch in batches for image_id in batch}) == 14
    assert len(kept) > EPOCHS
    assert all(batches < 7 for _, batches in kept)
    accumulated = [(epoch, batches) for epoch, batches in kept if epoch == 1]
    for epoch, batches in (min(kept), max(accumulated)):
        trained_on.clear()
        rest = tmp_path / f"rest{epoch}{batches}"
        train(config(rest, *COMMON, f"ckpt_path={tmp_path / f'{epoch}-{batches}.ckpt'}"))
        assert trained_on.pop(epoch) == whole[epoch][batches:]
        assert trained_on == {later: whole[later] for later in range(epoch + 1, EPOCHS)}
        ended = last(rest)
        assert ended["global_step"] == expected["global_step"]
        assert losses(rest) == {e: losses(tmp_path / "whole")[e] for e in range(epoch, EPOCHS)}
        (cost,) = [state for name, state in ended["callbacks"].items() if name == "EpochCost"]
        assert len(cost["seconds"]) == EPOCHS
        assert all(0 < seconds < 600 for seconds in cost["seconds"])
        for part in ("state_dict", "current_model_state"):
            for name, value in expected[part].items():
                assert torch.equal(value, ended[part][name]), name


def test_other_batches_cannot_go_on_in_mid_epoch(config, tmp_path, kept):
    train(config(tmp_path / "whole", *COMMON, "trainer.max_epochs=1"))
    path = next(iter(kept.values()))
    with pytest.raises(UserError, match=r"data\.batch_size was 2, but it is 4"):
        train(config(tmp_path / "rest", *COMMON, "data.batch_size=4", f"ckpt_path={path}"))
