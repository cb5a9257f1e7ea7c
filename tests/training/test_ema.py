"""The moving average against its formula; the first update is a copy."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from yolov9_lit.training.ema import EMA


def test_follows_the_published_ramp():
    """Over weights of two types and a counter, by the class that Lightning's callback uses."""
    model = nn.Sequential(nn.Linear(1, 3, bias=False), nn.BatchNorm1d(3).double())
    averaged = AveragedModel(model, use_buffers=True, **EMA(decay=0.9999, tau=2000)._kwargs)
    expected = None
    for updates in range(50):
        for values in (*model.parameters(), *model.buffers()):
            values.data.fill_(updates)
        decay = 0.9999 * (1 - math.exp(-(updates + 1) / 2000))
        expected = updates if expected is None else decay * expected + (1 - decay) * updates
        averaged.update_parameters(model)
    for values in (*averaged.module.parameters(), *averaged.module.buffers()):
        whole = not values.is_floating_point()
        wanted = torch.full_like(values, 49 if whole else expected)
        torch.testing.assert_close(values.detach(), wanted)
