"""Fuzz the readers of data sets, checkpoints and records: `python benchmarks/fuzz.py minutes=60`.

The inputs and what must hold of them are those of `tests/fuzz`. Each round of a target has a seed:
its number. Exit code 1 where a fault was found, each of which is shown with its smallest input.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, seed, settings

CHECKOUT = Path(__file__).parents[1]
EXAMPLES = 100
"""Inputs of a round."""

USAGE = "python benchmarks/fuzz.py [minutes=60] [targets=coco-train,...] [seed=0] [processes=2]"


class Fault(NamedTuple):
    """What went wrong: the error with its place in the code, and the smallest input found."""

    target: str
    seed: int
    error: str
    example: str


class Round(NamedTuple):
    """What a round of a target gave."""

    target: str
    executions: int
    seconds: float
    fault: Fault | None


def fuzz(target: str, number: int, known: frozenset[str]) -> Round:
    """Run a round of a target; faults that are `known` are passed over."""
    inputs, holds = _targets()[target][:2]
    executions, example, started = 0, "", time.perf_counter()

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @seed(number)
    @given(inputs)
    def execute(drawn: Any) -> None:
        nonlocal executions, example
        executions += 1
        try:
            holds(drawn)
        except Exception as error:
            if place(error) not in known:
                example = repr(drawn)  # The last one is the smallest.
                raise

    fault = None
    try:
        execute()
    except Exception as error:
        fault = Fault(target, number, place(error), f"{_lines(error)}\n{example}")
    return Round(target, executions, time.perf_counter() - started, fault)


def place(error: Exception) -> str:
    """Name a kind of error: its type and the innermost line of this repository."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f.filename.startswith(str(CHECKOUT))]
    frame = (ours or frames)[-1]
    where = f"{os.path.relpath(frame.filename, CHECKOUT)}:{frame.lineno}"
    # What must hold is asserted in few places: there the words tell one fault from another.
    words = re.sub(r"\d+|\S*/\S*|'.*", "", str(error))[:50] if "tests/" in where else ""
    return f"{type(error).__name__} in {where} {words}".strip()


def _lines(error: Exception) -> str:
    return "\n".join(f"{type(error).__name__}: {error}".splitlines()[:3])


def _targets() -> Mapping[str, Any]:
    folder = str(CHECKOUT / "tests/fuzz")
    if folder not in sys.path:
        sys.path[:0] = [folder, str(CHECKOUT)]
    found: Mapping[str, Any] = importlib.import_module("fuzz_targets").TARGETS
    return found


class Campaign:
    """Rounds of all targets in turn, in processes, until the time is over."""

    def __init__(self, targets: Sequence[str], first_seed: int, processes: int) -> None:
        """Choose what is run."""
        self.targets = targets
        self.processes = processes
        self.next = first_seed
        self.faults: list[Fault] = []
        self.executions: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def run(self, end: float) -> None:
        """Run until `time.monotonic()` is `end`, and what has begun then to its end."""
        tasks = self._tasks()
        running: dict[Future[Round], tuple[str, int]] = {}
        pool = self._pool()
        while running or time.monotonic() < end:
            while len(running) < self.processes and time.monotonic() < end:
                target, number = next(tasks)
                known = frozenset(fault.error for fault in self.faults)
                running[pool.submit(fuzz, target, number, known)] = (target, number)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                target, number = running.pop(future)
                try:
                    self._note(future.result())
                except BrokenProcessPool:
                    self._add(Fault(target, number, "the process died", "(run this seed alone)"))
                    running.clear()
                    pool = self._pool()
                    break
        pool.shutdown()

    def _pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.processes, mp_context=context)

    def _tasks(self) -> Iterator[tuple[str, int]]:
        while True:
            for target in self.targets:
                yield target, self.next
            self.next += 1

    def _note(self, done: Round) -> None:
        self.executions[done.target] += done.executions
        self.seconds[done.target] += done.seconds
        if done.fault:
            self._add(done.fault)

    def _add(self, fault: Fault) -> None:
        if fault.error not in {known.error for known in self.faults}:
            self.faults.append(fault)
            _say(f"\n{fault.target} (seed {fault.seed}): {fault.error}\n{fault.example}")

    def report(self) -> str:
        """Return executions by target, and where to go on."""
        lines = [
            f"{name:24} {count:8,} executions {count / self.seconds[name]:8.1f} a second"
            for name, count in sorted(self.executions.items())
        ]
        total = f"{self.executions.total():,} executions, {len(self.faults)} faults"
        return "\n".join(["", *lines, f"{total}; go on with seed={self.next + 1}"])


def main(arguments: Sequence[str]) -> int:
    """Run and return the exit code: 1 after a fault, 2 after a mistake in the arguments."""
    values = {"minutes": "1", "targets": ",".join(_targets()), "seed": "0", "processes": "2"}
    given = dict(argument.partition("=")[::2] for argument in arguments)
    if not given.keys() <= values.keys():
        _say(f"error: use {USAGE}")
        return 2
    values |= given
    names = values["targets"].split(",")
    if unknown := set(names) - set(_targets()):
        _say(f"error: there is no target {', '.join(unknown)}: choose {', '.join(_targets())}.")
        return 2
    campaign = Campaign(names, int(values["seed"]), int(values["processes"]))
    campaign.run(time.monotonic() + 60 * float(values["minutes"]))
    _say(campaign.report())
    return int(bool(campaign.faults))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
