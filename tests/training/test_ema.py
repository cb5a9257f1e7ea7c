"""The moving average against its formula."""

import math

import torch

from yolov9_lit.training.ema import EMA


def test_follows_the_published_ramp():
    ema = EMA(decay=0.9999, tau=2000)
    expected, averaged = 0.0, torch.zeros(3)
    for updates in range(1, 50):
        decay = 0.9999 * (1 - math.exp(-updates / 2000))
        expected = decay * expected + (1 - decay) * updates
        current = torch.full((3,), float(updates))
        averaged = ema._average(averaged, current, torch.tensor(updates - 1))
    torch.testing.assert_close(averaged, torch.full((3,), expected))


def test_counters_are_copied():
    averaged = EMA()._average(torch.tensor(3), torch.tensor(7), torch.tensor(5))
    assert averaged.item() == 7
