"""Contenders that take turns, each in a process of its own.

A machine's drift then meets all alike: what counts is the ratio of two in the same round.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

from yolov9_lit.errors import UserError, one_line
from yolov9_lit.memory import peak_bytes

Measure = Callable[[], float]
"""Does the work once and returns what it took: seconds, or any figure that is less when better."""

_measure: Measure


class Ratio(NamedTuple):
    """One contender's figure over another's, of the same round: median and extremes."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} .. {self.most:.2f})"


class Turns(NamedTuple):
    """What was measured of contenders.

    Attributes:
        figures: of each, by round.
        peak_mb: most memory that each one's process had, see `_peak_mb`.
    """

    figures: dict[str, list[float]]
    peak_mb: dict[str, float]


def in_turns(contenders: Mapping[str, Callable[[], Measure]], rounds: int) -> Turns:
    """Measure each contender once a round.

    Args:
        contenders: by name, what starts it in its process and returns its measure; to be pickled.
        rounds: how many times each is measured.

    Raises:
        UserError: one of them cannot be started.
    """
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn))
            for name in contenders
        }
        for name, start in contenders.items():  # One after another: each has the whole machine.
            try:
                processes[name].submit(_start, start).result()
            except Exception as error:
                reason = f"{type(error).__name__}: {one_line(str(error))}"
                raise UserError(f"{name} cannot be measured, it did not start: {reason}") from error
        figures: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, process in processes.items():
                figures[name].append(process.submit(_measured).result())
        peaks = {name: process.submit(_peak_mb).result() for name, process in processes.items()}
    return Turns(figures, peaks)


def ratio(figures: Sequence[float], others: Sequence[float]) -> Ratio:
    """Compare two contenders round by round."""
    each = [a / b for a, b in zip(figures, others, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def _start(start: Callable[[], Measure]) -> None:
    global _measure
    _measure = start()


def _measured() -> float:
    return _measure()


def _peak_mb() -> float:
    """Return the most MB that this process had: of tensors on a GPU, without one resident."""
    torch = sys.modules.get("torch")  # Who has not imported it has nothing on a GPU.
    if torch is not None and torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 2**20
    return peak_bytes() / 2**20
