"""Shares of a step's time, by parts that take a known time."""

import logging
import time
from types import SimpleNamespace

import pytest
import torch

from yolov9_lit.training.callbacks import step_times
from yolov9_lit.training.module import DetectionModule

SECONDS = {"waiting for data": 0.04, "forward": 0.02, "loss": 0.01, "backward": 0.03}


class Loss(torch.nn.Module):
    def forward(self):
        time.sleep(SECONDS["loss"])


def steps(count):
    """A training's hooks in Lightning's order, around parts that sleep."""
    module = DetectionModule.__new__(DetectionModule)
    torch.nn.Module.__init__(module)
    module.__dict__["_device"] = torch.device("cpu")
    module.loss = Loss()
    times = step_times.StepTimes()
    times.on_train_start(SimpleNamespace(), module)
    times.on_train_epoch_start()
    for _ in range(count):
        time.sleep(SECONDS["waiting for data"])
        times.on_train_batch_start()
        time.sleep(SECONDS["forward"])
        module.loss()
        times.on_before_backward()
        time.sleep(SECONDS["backward"])
        times.on_after_backward()
        times.on_train_batch_end()
    times.on_train_end()
    return times


def test_parts_are_counted_after_the_first_steps(caplog):
    with caplog.at_level(logging.INFO):
        times = steps(step_times.UNTIMED + 4)
    for part, seconds in SECONDS.items():
        assert times.seconds[part] >= 4 * seconds  # Sleeping may take longer, never less.
    assert list(times.seconds) == [
        *("waiting for data", "forward", "loss"),
        *("logging", "backward", "update"),
    ]
    assert "a step: waiting for data" in caplog.text
    assert "The data limit the training" in caplog.text


def test_too_few_steps_are_told(caplog):
    with caplog.at_level(logging.INFO):
        steps(step_times.UNTIMED)
    assert caplog.messages == ["The parts of a step were not timed: 4 steps are needed"]


@pytest.mark.parametrize("much", [True, False])
def test_what_limits_is_told_in_words(much):
    assert ("data" in step_times.LIMITS[much].split("limit")[0]) is much
