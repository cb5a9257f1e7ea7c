"""When the weights are updated, with how much gradient, against the published counting."""

import numpy as np
import pytest
import torch

from yolov9_lit.app.train import train
from yolov9_lit.training.module import DetectionModule

pytestmark = pytest.mark.slow

NOMINAL, BATCH, WARMUP, EPOCHS = 17, 4, 7, 5


def published_updates(batches):
    """Positions of the updates: batches are counted through the ends of epochs."""
    last, updates = -1, []
    for position in range(batches * EPOCHS):
        accumulate = max(round(NOMINAL / BATCH), 1)
        if position <= WARMUP:
            accumulate = max(1, np.interp(position, [0, WARMUP], [1, NOMINAL / BATCH]).round())
        if position - last >= accumulate:
            updates.append(position)
            last = position
    return updates


@pytest.fixture
def recorded(monkeypatch):
    """The updates of the trainings that follow: position, gradient before clipping and after."""
    record = []

    def gradient(module):
        grads = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
        return torch.cat(grads).clone()

    clip = DetectionModule.on_before_optimizer_step

    def on_before_optimizer_step(self, optimizer):
        raw = gradient(self)
        clip(self, optimizer)
        position = self.trainer.fit_loop.epoch_loop.batch_idx
        position += self.trainer.current_epoch * self.trainer.num_training_batches
        record.append((position, raw, gradient(self)))

    monkeypatch.setattr(DetectionModule, "on_before_optimizer_step", on_before_optimizer_step)
    return record


@pytest.mark.parametrize("clip_norm", [0.5, 1e9, None])
def test_updates_are_those_of_the_published_loop(config, tmp_path, recorded, clip_norm):
    overrides = [
        "test=false",
        f"trainer.max_epochs={EPOCHS}",
        f"schedule.nominal_batch={NOMINAL}",
        f"schedule.min_warmup_batches={WARMUP}",
        "schedule.warmup_epochs=0.1",
        f"optimizer.clip_norm={clip_norm if clip_norm is not None else 'null'}",
    ]
    train(config(tmp_path, *overrides))
    batches = -(-14 // BATCH)
    assert [position for position, _, _ in recorded] == published_updates(batches)
    steps = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert steps == len(recorded)
    for _, raw, clipped in recorded:
        limit = 1.0 if clip_norm is None else min(1.0, clip_norm / float(raw.double().norm()))
        torch.testing.assert_close(clipped, raw * limit, rtol=1e-3, atol=1e-8)


def test_an_accumulated_gradient_is_the_sum_over_the_batches(config, tmp_path, monkeypatch):
    losses, grads = [], []
    backward = DetectionModule.manual_backward

    def manual_backward(self, loss, *args, **kwargs):
        # The published loop never rescales: each batch's gradient simply adds to those before.
        parameters = [p for p in self.parameters() if p.requires_grad]
        before = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
        alone = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        backward(self, loss, *args, **kwargs)
        for parameter, old, new in zip(parameters, before, alone, strict=True):
            expected = old if new is None else old + new
            got = torch.zeros_like(old) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
        losses.append(loss.item())
        grads.append(max(float(g.abs().max()) for g in before))

    monkeypatch.setattr(DetectionModule, "manual_backward", manual_backward)
    overrides = ["test=false", "trainer.max_epochs=2", "schedule.nominal_batch=12"]
    train(config(tmp_path, *overrides, "schedule.warmup_epochs=0"))
    assert len(losses) == 8
    # Updates at positions 2 and 5; the epoch's start at position 4 drops what is pending.
    assert [g > 0 for g in grads] == [False, True, True, False, False, True, False, True]
