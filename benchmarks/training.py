"""Seconds of a training step by package: forward, loss, backward, clipping, update and averaging.

Every step updates the weights. All packages train the same structure, with random weights, on the
same random images and objects, on the device that `trainer` chooses for this one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import lightning as L
import torch
from rich.table import Table
from torch.utils.data import DataLoader

from benchmarks.steppers import PEERS, Stepper
from benchmarks.turns import Measure, in_turns, ratio
from yolov9_lit.app.configs import compose
from yolov9_lit.app.train import make_acceleration
from yolov9_lit.building import build
from yolov9_lit.structures import Batch, ImageInfo, Targets
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.trainer import build_trainer

CLASSES = 80
OURS = "yolov9_lit"


class Work(NamedTuple):
    """What a step works on.

    Attributes:
        image_size: pixels of a side.
        batch_size: images.
        objects: of an image.
    """

    image_size: int
    batch_size: int
    objects: int

    def batch(self) -> Batch:
        """Make images (B, 3, S, S) uint8 and boxes of 5 to 60 % of a side, the same each time."""
        random = torch.Generator().manual_seed(0)
        count = (self.batch_size, self.objects)
        side = self.image_size
        images = torch.randint(
            256, (self.batch_size, 3, side, side), dtype=torch.uint8, generator=random
        )
        sizes = side * (0.05 + 0.55 * torch.rand(*count, 2, generator=random))
        corners = (side - sizes) * torch.rand(*count, 2, generator=random)
        labels = torch.randint(CLASSES, count, generator=random)
        targets = Targets(torch.cat((corners, corners + sizes), dim=-1), labels, labels >= 0)
        return Batch(images, targets, (ImageInfo(0, "", side, side),) * self.batch_size)


@dataclass(frozen=True)
class TrainingBenchmark:
    """Measures steps of this package beside those of the others that are there.

    Attributes:
        published: folder of a clone of the published repository; None to leave it out.
        multimedia: the same of MultimediaTechLab/YOLO.
        models: options of the `model` group.
        overrides: of this package's `train` command.
        image_size: pixels of a side.
        batch_size: images of a step.
        objects: of an image.
        threads: of each process on the CPU; None for torch's own choice.
        warm_up: steps before the first round.
        steps: of a round.
        rounds: in which the packages take turns.
    """

    published: str | None
    multimedia: str | None
    models: Sequence[str]
    overrides: Sequence[str]
    image_size: int
    batch_size: int
    objects: int
    threads: int | None
    warm_up: int
    steps: int
    rounds: int

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        found = {model: in_turns(self._contenders(model), self.rounds) for model in self.models}
        names = ("image_size", "batch_size", "objects", "threads", "rounds")
        return [self._table(found)], {
            **{name: getattr(self, name) for name in names},
            "overrides": [*self.overrides],
            "seconds_per_step": found,
            "ratio": {
                model: {
                    name: ratio(seconds[OURS], others)._asdict()
                    for name, others in seconds.items()
                    if name != OURS
                }
                for model, seconds in found.items()
            },
        }

    def _contenders(self, model: str) -> dict[str, Callable[[], Measure]]:
        work = Work(self.image_size, self.batch_size, self.objects)
        overrides = tuple(self.overrides)
        steppers: dict[str, Callable[[], Stepper]] = {OURS: partial(ours, model, overrides, work)}
        for peer in PEERS:
            if stepper := peer.stepper(model, {**asdict(self)}, work.batch(), CLASSES):
                steppers[peer.name] = stepper
        return {
            name: partial(_start, stepper, self.threads, self.warm_up, self.steps)
            for name, stepper in steppers.items()
        }

    def _table(self, found: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
        table = Table("model", "package", title="A training step", title_justify="left")
        for name in ("seconds", "images/s", "ours / it"):
            table.add_column(name, justify="right")
        for model, seconds in found.items():
            for name, measured in seconds.items():
                median = sorted(measured)[len(measured) // 2]
                compared = "" if name == OURS else str(ratio(seconds[OURS], measured))
                rate = self.batch_size / median
                table.add_row(model, name, f"{median:.3f}", f"{rate:.1f}", compared)
        return table


def ours(model: str, overrides: Sequence[str], work: Work) -> Stepper:
    """Start this package's training, as the command builds it, and return what does its steps."""
    cfg = compose("train", [f"model={model}", "run_dir=.", "logger=null", *overrides])
    cfg.schedule.nominal_batch = work.batch_size
    cfg.trainer.enable_progress_bar = False
    metric = build(cfg.evaluation.metric)(truth=dict, category_ids=range(CLASSES))
    module = DetectionModule(
        detector=build(cfg.model, num_classes=CLASSES),
        loss=build(cfg.loss),
        optimizer=build(cfg.optimizer),
        schedule=build(cfg.schedule),
        batch_size=work.batch_size,
        nms=build(cfg.evaluation.nms),
        val_metric=metric,
        test_metric=metric,
    )
    gate = _Gate()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = build_trainer(cfg.trainer, [build(cfg.callbacks.ema), gate], logger=False)
    make_acceleration(cfg).apply(module, trainer.strategy.root_device)
    batches: Any = DataLoader([work.batch()] * 10_000, batch_size=None)  # type: ignore[arg-type]
    gate.start(partial(trainer.fit, module, batches))
    return gate.step


class _Gate(L.Callback):
    """Holds a training in a thread of its own before each step until that is asked for."""

    def __init__(self) -> None:
        self._due, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException = RuntimeError("the training came to its end")
        self._over = False

    def start(self, fit: Callable[[], None]) -> None:
        """Begin the training and wait until its first step is due."""
        threading.Thread(target=self._fit, args=(fit,), daemon=True).start()
        self._wait()

    def step(self) -> None:
        """Let one step be done, and wait for it."""
        self._due.release()
        self._wait()

    def on_train_batch_start(self, *_: Any) -> None:
        self._done.release()
        self._due.acquire()

    def _fit(self, fit: Callable[[], None]) -> None:
        try:
            fit()
        except BaseException as error:  # Raised where the step is waited for.
            self._error = error
        self._over = True
        self._done.release()

    def _wait(self) -> None:
        self._done.acquire()
        if self._over:
            raise self._error


def _start(start: Callable[[], Stepper], threads: int | None, warm_up: int, steps: int) -> Measure:
    if threads:
        torch.set_num_threads(threads)
    step = start()
    _run(step, warm_up)
    return partial(_run, step, steps)


def _run(step: Stepper, count: int) -> float:
    """Return the seconds of a step."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count
