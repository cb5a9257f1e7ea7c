"""Seconds of a training step by package: forward, loss, backward, clipping, update and averaging.

Every step updates the weights. All packages train the same structure, with random weights, on the
same random images and objects, on the device that `trainer` chooses for this one.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import lightning as L
import torch
from rich.table import Table
from torch.utils.data import DataLoader

from benchmarks.device import now
from benchmarks.steppers import PEERS, Stepper
from benchmarks.throughput import Throughput, throughput_table
from benchmarks.turns import Measure, Turns, in_turns, ratio
from yolov9_lit.app.configs import compose
from yolov9_lit.app.train import make_acceleration
from yolov9_lit.building import build
from yolov9_lit.kinds import Count, InputSide, PathText, PositiveInt
from yolov9_lit.models.cost import detector_cost
from yolov9_lit.structures import Batch
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.trainer import build_trainer
from yolov9_lit.training.trial import made_up_batch

CLASSES = 80
OURS = "yolov9_lit"


class Work(NamedTuple):
    """What a step works on.

    Attributes:
        image_size: pixels of a side.
        batch_size: images.
        objects: of an image.
        masks: whether the objects have masks.
        keypoints: of an object.
    """

    image_size: int
    batch_size: int
    objects: int
    masks: bool = False
    keypoints: int = 0

    def batch(self) -> Batch:
        """Make it up, the same each time."""
        return made_up_batch(
            *(self.batch_size, self.image_size, self.objects, CLASSES),
            masks=self.masks,
            keypoints=self.keypoints,
        )


@dataclass(frozen=True)
class TrainingBenchmark:
    """Measures steps of this package beside those of the others that are there.

    Attributes:
        published: folder of a clone of the published repository; None to leave it out.
        multimedia: the same of MultimediaTechLab/YOLO.
        task: option of the `task` group; of another than `detect` only this package is measured.
        models: options of the `model` group.
        overrides: of this package's `train` command.
        image_size: pixels of a side.
        batch_size: images of a step.
        objects: of an image.
        threads: of each process on the CPU; None for torch's own choice.
        warm_up: steps of a round that are not counted.
        steps: of a round.
        rounds: in which the packages take turns.
    """

    published: PathText | None
    multimedia: PathText | None
    task: str
    models: Sequence[str]
    overrides: Sequence[str]
    image_size: InputSide
    batch_size: PositiveInt
    objects: Count
    threads: PositiveInt | None
    warm_up: PositiveInt
    steps: PositiveInt
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        turns = {model: in_turns(self._contenders(model), self.rounds) for model in self.models}
        found = {model: measured.figures for model, measured in turns.items()}
        reached = {model: self._reached(model, measured) for model, measured in turns.items()}
        names = ("task", "image_size", "batch_size", "objects", "threads", "rounds")
        return [self._table(found), throughput_table(reached)], {
            **{name: getattr(self, name) for name in names},
            "overrides": [*self.overrides],
            "seconds_per_step": found,
            "throughput": {
                model: {name: one._asdict() for name, one in packages.items()}
                for model, packages in reached.items()
            },
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
        starts: dict[str, Callable[[], Measure]] = {
            OURS: partial(ours, model, self._overrides, work, self.warm_up, self.steps)
        }
        for peer in PEERS if self.task == "detect" else ():
            if stepper := peer.stepper(model, asdict(self), work.batch(), CLASSES):
                starts[peer.name] = partial(_stepping, stepper, self.warm_up, self.steps)
        return {name: partial(_start, start, self.threads) for name, start in starts.items()}

    @property
    def _overrides(self) -> Sequence[str]:
        return (f"task={self.task}", *self.overrides)

    def _reached(self, model: str, turns: Turns) -> dict[str, Throughput]:
        """Return each package's throughput; backward takes twice the FLOPs of forward."""
        cfg = compose("summary", [f"model={model}", f"task={self.task}"]).model
        forward = detector_cost(build(cfg, num_classes=CLASSES), self.image_size).trained.gflops
        return {
            name: Throughput.of(
                statistics.median(seconds) / self.batch_size, 3 * forward, turns.peak_mb[name]
            )
            for name, seconds in turns.figures.items()
        }

    def _table(self, found: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
        table = Table("model", "package", title="A training step", title_justify="left")
        for name in ("seconds", "ours / it"):
            table.add_column(name, justify="right")
        for model, seconds in found.items():
            for name, measured in seconds.items():
                median = statistics.median(measured)
                compared = "" if name == OURS else str(ratio(seconds[OURS], measured))
                table.add_row(model, name, f"{median:.3f}", compared)
        return table


def ours(model: str, overrides: Sequence[str], work: Work, warm_up: int, steps: int) -> Measure:
    """Start this package's training, as the command builds it, and return what measures it."""
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
    clock = _Clock(warm_up)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = build_trainer(cfg.trainer, [build(cfg.callbacks.ema), clock], logger=False)
    make_acceleration(cfg).apply(module, trainer.strategy.root_device)
    keypoints = module.detector.head.num_keypoints if cfg.data.get("keypoints") else 0
    batch = work._replace(masks=cfg.data.get("masks", False), keypoints=keypoints).batch()
    batches: Any = DataLoader([batch] * (warm_up + steps), batch_size=None)  # type: ignore[arg-type]
    trainer.fit_loop.max_epochs = 0

    def measure() -> float:
        assert trainer.fit_loop.max_epochs is not None
        trainer.fit_loop.max_epochs += 1
        trainer.fit(module, batches)
        return clock.seconds / steps

    return measure


class _Clock(L.Callback):
    """Times an epoch from the end of its first steps to its own.

    Attributes:
        seconds: of the latest epoch.
    """

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.seconds = 0.0
        self._began = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index + 1 == self.warm_up:
            self._began = now()
        self.seconds = now() - self._began


def _stepping(start: Callable[[], Stepper], warm_up: int, steps: int) -> Measure:
    """Start another package's steps, and return what measures them."""
    step = start()

    def measure() -> float:
        for index in range(warm_up + steps):
            if index == warm_up:
                began = now()
            step()
        return (now() - began) / steps

    return measure


def _start(start: Callable[[], Measure], threads: int | None) -> Measure:
    if threads:
        torch.set_num_threads(threads)
    return start()
