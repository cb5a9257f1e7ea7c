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


@pytest.mark.parametrize("seen", [0, 1, 49, 50, 99, 149, 150, 500, 999])
def test_published_recipe(seen):
    """lr 0 -> 0.01, bias lr 0.1 -> 0.01, momentum 0.8 -> 0.937, 1 -> 4 batches an update."""
    epoch, warmup = seen // BATCHES, [0, 3 * BATCHES]
    lr = 0.01 * ((1 - epoch / EPOCHS) * (1 - 0.01) + 0.01)
    setting = at(seen)
    assert 0.01 * setting.lr_factor == pytest.approx(np.interp(seen, warmup, [0, lr]))
    bias_lr = 0.01 * setting.lr_factor + setting.bias_lr_offset
    assert bias_lr == pytest.approx(np.interp(seen, warmup, [0.1, lr]))
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
    assert at(10 * BATCHES, schedule).lr_factor == pytest.approx(half)


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
