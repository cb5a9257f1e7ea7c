"""The schedule against the published recipe's description, and optimiser groups."""

import numpy as np
import pytest
import torch
from torch import nn

from yolov9_lit.training.optimizers import OptimizerRecipe, parameter_groups
from yolov9_lit.training.schedules import WarmupDecay

BATCHES, EPOCHS, BATCH_SIZE = 50, 20, 16


def at(seen, schedule=None, batches=BATCHES, batch_size=BATCH_SIZE):
    schedule = schedule or WarmupDecay()
    epoch, batch = divmod(seen, batches)
    return schedule.at(batch, epoch, batches=batches, epochs=EPOCHS, batch_size=batch_size)


def published_rates(batches):
    """Learning rates of the first and the other groups by batch, from torch's own scheduler.

    The published loop sets the scheduler back by one step before it begins, and lets the warm-up
    overwrite what the scheduler set.
    """

    def factor(epoch):
        return (1 - epoch / EPOCHS) * (1 - 0.01) + 0.01

    groups = [{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    scheduler.last_epoch = -1
    warmup = max(3 * batches, 100)
    for epoch in range(EPOCHS):
        for seen in range(epoch * batches, (epoch + 1) * batches):
            if seen <= warmup:
                for group, start in zip(optimizer.param_groups, (0.1, 0.0), strict=True):
                    group["lr"] = np.interp(seen, [0, warmup], [start, 0.01 * factor(epoch)])
            yield [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("batches", [13, 50])
def test_learning_rates_are_those_of_the_published_loop(batches):
    for seen, (bias_lr, lr) in enumerate(published_rates(batches)):
        setting = at(seen, batches=batches)
        assert 0.01 * setting.lr_factor == pytest.approx(lr)
        assert 0.01 * setting.lr_factor + setting.bias_lr_offset == pytest.approx(bias_lr)


@pytest.mark.parametrize("seen", [0, 1, 49, 50, 99, 149, 150, 500, 999])
def test_momentum_and_accumulation_warm_up(seen):
    """Momentum 0.8 -> 0.937, 1 -> 4 batches an update."""
    warmup = [0, 3 * BATCHES]
    setting = at(seen)
    assert setting.momentum == pytest.approx(np.interp(seen, warmup, [0.8, 0.937]))
    assert setting.accumulate == np.interp(seen, warmup, [1, 64 / BATCH_SIZE]).round()


def test_warmup_lasts_at_least_a_hundred_batches():
    assert at(99, batches=10).bias_lr_offset > 0
    assert at(100, batches=10).bias_lr_offset == 0


def test_large_batches_are_not_accumulated():
    assert {at(seen, batch_size=128).accumulate for seen in range(300)} == {1}


@pytest.mark.parametrize(("decay", "half"), [("linear", 0.505), ("cosine", 0.505), ("constant", 1)])
def test_decay(decay, half):
    schedule = WarmupDecay(decay=decay, warmup_epochs=0)
    assert at(0, schedule).lr_factor == pytest.approx(1)
    assert at(11 * BATCHES, schedule).lr_factor == pytest.approx(half)


def test_only_proper_weights_decay():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1, bias=False))
    groups = {group["name"]: group for group in parameter_groups(model, 0.5)}
    assert [tuple(p.shape) for p in groups["bias"]["params"]] == [(4,), (4,)]
    assert groups["norm"]["params"] == [model[1].weight]
    assert groups["weight"]["params"] == [model[0].weight, model[2].weight]
    assert [groups[n]["weight_decay"] for n in ("bias", "norm", "weight")] == [0.0, 0.0, 0.5]


def test_recipe_builds_any_torch_optimizer():
    model = nn.Conv2d(3, 4, 1)
    model.bias.requires_grad_(False)
    optimizer = OptimizerRecipe(torch.optim.AdamW, lr=0.1, weight_decay=0.2).build(model, 2.0)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["initial_lr"], group["weight_decay"]) == (0.1, 0.1, 0.4)
