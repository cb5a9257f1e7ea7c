"""Shares of a step's time, by parts that take a known time."""

import logging
from types import SimpleNamespace

import pytest
import torch

from yolov9_lit.training.callbacks import step_times
from yolov9_lit.training.module import DetectionModule

SECONDS = {"waiting for data": 0.04, "forward": 0.02, "loss": 0.01, "backward": 0.03}
VALIDATION = 0.5


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Loss(torch.nn.Module):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def forward(self):
        self.clock.sleep(SECONDS["loss"])


@pytest.fixture
def steps(monkeypatch):
    """A training's hooks in Lightning's order, around parts that take their time."""
    clock = Clock()
    monkeypatch.setattr(step_times, "time", clock)

    def steps(count):
        module = DetectionModule.__new__(DetectionModule)
        torch.nn.Module.__init__(module)
        module.__dict__["_device"] = torch.device("cpu")
        module.loss = Loss(clock)
        times = step_times.StepTimes()
        times.on_train_start(SimpleNamespace(), module)
        times.on_train_epoch_start()
        for _ in range(count):
            clock.sleep(SECONDS["waiting for data"])
            times.on_train_batch_start()
            clock.sleep(SECONDS["forward"])
            module.loss()
            times.on_before_backward()
            clock.sleep(SECONDS["backward"])
            times.on_after_backward()
            times.on_train_batch_end()
        clock.sleep(VALIDATION)
        module.loss()  # of the validation
        times.on_train_end()
        return times

    return steps


def test_parts_are_counted_after_the_first_steps(steps, caplog):
    with caplog.at_level(logging.INFO):
        times = steps(step_times.UNTIMED + 4)
    parts = {**SECONDS, "logging": 0.0, "update": 0.0}
    assert times.seconds == pytest.approx({part: 4 * seconds for part, seconds in parts.items()})
    assert list(times.seconds) == [
        *("waiting for data", "forward", "loss"),
        *("logging", "backward", "update"),
    ]
    assert "a step: waiting for data" in caplog.text
    assert "The data limit the training" in caplog.text


def test_too_few_steps_are_told(steps, caplog):
    with caplog.at_level(logging.INFO):
        steps(step_times.UNTIMED)
    assert caplog.messages == ["The parts of a step were not timed: 4 steps are needed"]


@pytest.mark.parametrize("much", [True, False])
def test_what_limits_is_told_in_words(much):
    assert ("data" in step_times.LIMITS[much].split("limit")[0]) is much
