"""Whatever lies in a folder or a file: used as far as it is sound and told the rest, or a sentence.

`benchmarks/fuzz.py` runs the same for as long as you like; here are a few inputs, always the same.
"""

import logging

import numpy as np
import pytest
from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, given, settings, strategies as st
from watching import watched

from benchmarks import fuzz
from yolov9_lit.errors import UserError

TOLD = ("settings", "overrides")
"""Targets that always end in a sentence."""

CI = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_any_input_ends_well_or_in_a_sentence(name):
    target = TARGETS[name]

    @settings(CI, max_examples=target.examples)
    @given(target.inputs)
    def holds(drawn):
        target.holds(drawn)

    holds()


SETS = [name for name in TARGETS if "checkpoint" not in name and name not in TOLD]


@pytest.mark.parametrize("name", SETS)
def test_of_a_sound_set_nothing_is_told(name):
    assert TARGETS[name].holds([]) == []


def raise_index_error():
    [][1]


def warn_of_numbers():
    np.float64(1e308) * np.float64(1e308)


def flood():
    for number in range(1000):
        logging.getLogger("yolov9_lit.x").warning("message %d", number)


def message_of_two_lines():
    logging.getLogger("yolov9_lit.x").warning("a\nb")


def code_of_a_terminal():
    logging.getLogger("yolov9_lit.x").warning("\x1b[31m")


def loop():
    while True:
        pass


def fill_memory():
    np.zeros(2**36, dtype=np.uint8)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (raise_index_error, "list index out of range"),
        (warn_of_numbers, "overflow"),
        (flood, "1000 messages"),
        (message_of_two_lines, "several lines"),
        (code_of_a_terminal, "a terminal would obey"),
        (loop, "it takes longer"),
        (fill_memory, "Unable to allocate"),
    ],
)
def test_what_must_not_happen_is_seen(monkeypatch, run, words):
    monkeypatch.setattr("watching.MOST_SECONDS", 0.2)
    with pytest.raises((AssertionError, IndexError, MemoryError), match=words), watched():
        run()


def test_a_sentence_is_an_end_and_is_kept():
    with watched() as messages:
        raise UserError("no such file: give another one.")
    assert messages.texts == ["no such file: give another one."]


def test_by_hand_each_fault_is_found_once_with_its_smallest_input(monkeypatch):
    def holds(number):
        assert number < 10

    monkeypatch.setattr(fuzz, "_targets", lambda: {"numbers": Target(st.integers(), holds)})
    found = fuzz.fuzz("numbers", 0, frozenset())
    assert found.executions > 1
    assert found.fault.example.endswith("\n10")
    assert fuzz.fuzz("numbers", 0, frozenset([found.fault.error])).fault is None
