"""Throughput: a model's FLOPs against a GPU's published peak, and memory of a process."""

import functools

import pytest

from benchmarks.throughput import Throughput, utilisation
from benchmarks.turns import in_turns


def test_rates_are_those_of_one_image():
    reached = Throughput.of(seconds=0.5, gflops=10, peak_mb=3)
    assert (reached.images_per_second, reached.gflops_per_second, reached.peak_mb) == (2, 20, 3)


def test_the_share_is_of_a_peak_that_is_published():
    assert utilisation(156_000, "NVIDIA A100-SXM4-80GB") == pytest.approx(0.5)
    assert utilisation(6_500, "Tesla T4") == pytest.approx(0.1)
    for unknown in (None, "NVIDIA L40S", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "Some other card"):
        assert utilisation(1, unknown) is None


def filled(megabytes):
    kept = bytearray(b"x" * (megabytes * 2**20))
    return lambda: float(len(kept))


def test_memory_is_that_of_each_process_alone():
    kept = filled(300)  # Of this process, whose maximum a child must not begin with.
    turns = in_turns(
        {"small": functools.partial(filled, 1), "big": functools.partial(filled, 100)}, 2
    )
    assert kept() == 300 * 2**20
    assert turns.figures["big"] == [100 * 2**20] * 2
    assert 99 < turns.peak_mb["big"] - turns.peak_mb["small"] < 250
