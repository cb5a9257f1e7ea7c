"""What is logged by epoch goes on from the checkpoints of the previous version."""

from pathlib import Path

import pytest
import torch

from yolov9_lit.training.callbacks.epoch_log import EpochLog

PREVIOUS = Path(__file__).parents[1] / "assets" / "previous" / "multirun" / "previous"


@pytest.fixture
def checkpoint():
    (path,) = PREVIOUS.glob("*pgi=fpn*/checkpoints/last.ckpt")
    return torch.load(path, weights_only=True)


def test_a_checkpoint_of_the_previous_version_is_continued(checkpoint):
    kept = checkpoint["callbacks"][EpochLog().state_key]
    checkpoint["train_means"] = {"sums": {"train/loss": torch.tensor(6.0)}, "samples": 3}
    log, written = EpochLog(), {}
    log.load_state_dict(kept)
    log.on_load_checkpoint(None, None, checkpoint)
    log.on_save_checkpoint(None, None, written)
    assert log.seconds == kept["seconds"]
    assert log.peak_mb == kept["peak_mb"]
    assert written["train_means"] == checkpoint["train_means"]
    assert log.state_dict().keys() == kept.keys()


def test_the_oldest_checkpoints_kept_less():
    log = EpochLog()
    log.load_state_dict({"seconds": [1.0, 3.0, 2.0], "peak_mb": 7.0})
    log.on_load_checkpoint(None, None, {})
    assert (log.seconds_per_epoch, log.peak_mb) == (2.0, 7.0)
