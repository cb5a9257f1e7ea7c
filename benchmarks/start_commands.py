"""The same commands of this package and of Ultralytics, on the same images.

Each package trains an epoch before, to its end: that fills its caches, and leaves the checkpoint
that it predicts with.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.commands import FIRST_STEP, run
from benchmarks.layout import Layout

_OUT = "out"
"""Folder that a command writes to, in the one that it is run in."""


class Work(NamedTuple):
    """What the commands work on.

    Attributes:
        model: option of the `model` group, a GELAN one.
        image_size: pixels of a side.
        batch_size: images of a step.
        workers: processes that read images.
        data: the images, each package's way.
    """

    model: str
    image_size: int
    batch_size: int
    workers: int
    data: Layout

    @property
    def image(self) -> Path:
        """Return the image to predict on."""
        return min((self.data.root / "images").iterdir())


class Command(NamedTuple):
    """A command whose user waits for its end, or for a line of its output."""

    arguments: tuple[str, ...]
    until: str | None = None

    def seconds(self) -> float:
        """Run it in a new folder; return how long its user waits."""
        with tempfile.TemporaryDirectory() as folder:
            return run((sys.executable, *self.arguments), Path(folder), self.until)


def our_commands(work: Work, trained: Path) -> dict[str, Command]:
    """Train in a folder; return what is measured of this package."""
    images, annotations = "images", work.data.root / "train.json"
    training = (
        f"model={work.model}",
        "~data.prepare",
        f"data.root={work.data.root}",
        f"data.train_images={images}",
        f"data.val_images={images}",
        f"data.train_annotations={annotations}",
        f"data.val_annotations={annotations}",
        f"data.image_size={work.image_size}",
        f"data.batch_size={work.batch_size}",
        f"data.num_workers={work.workers}",
        "trainer=cpu",
        "trainer.max_epochs=1",
        f"hydra.run.dir={_OUT}",
    )
    run((sys.executable, *_ours("train", *training)), trained)
    tell = "+callbacks.tell={_target_: benchmarks.first_step.TellFirstStep}"
    prediction = (
        f"ckpt={trained / _OUT / 'checkpoints/best.ckpt'}",
        f"source={work.image}",
        f"image_size={work.image_size}",
        "device=cpu",
        f"hydra.run.dir={_OUT}",
    )
    size = f"image_size={work.image_size}"
    return {
        "first step": Command(_ours("train", *training, tell), FIRST_STEP),
        "prediction": Command(_ours("predict", *prediction)),
        "summary": Command(_ours("summary", f"model={work.model}", size)),
        "report": Command(_ours("report", f"runs={trained / _OUT}", f"out={_OUT}")),
    }


def their_commands(work: Work, trained: Path) -> dict[str, Command]:
    """Train in a folder; return what is measured of Ultralytics, which has no report of runs."""
    data = trained / "data.yaml"
    names = dict(enumerate(work.data.class_names))
    data.write_text(
        json.dumps(
            {"path": str(work.data.root), "train": "images", "val": "images", "names": names}
        )
    )
    model = f"{work.model.replace('gelan_', 'yolov9')}.yaml"
    common = {"imgsz": work.image_size, "device": "cpu", "save_dir": _OUT}
    training = {"data": str(data), "epochs": 1, "batch": work.batch_size, "workers": work.workers}
    train = _theirs(model, training | common)
    run((sys.executable, *train), trained)
    best = trained / _OUT / "weights/best.pt"
    prediction = {"model": best, "source": work.image, "save": True, **common}
    settings = (f"{key}={value}" for key, value in prediction.items())
    yolo = "from ultralytics.cfg import entrypoint; entrypoint()"  # What the `yolo` script does.
    info = f"from ultralytics import YOLO; YOLO({model!r}).info(imgsz={work.image_size})"
    return {
        "first step": Command(train, FIRST_STEP),
        "prediction": Command(("-c", yolo, "predict", *settings)),
        "summary": Command(("-c", info)),
    }


def _ours(command: str, *overrides: str) -> tuple[str, ...]:
    return "-m", f"yolov9_lit.{command}", *overrides


def _theirs(model: str, settings: dict[str, Any]) -> tuple[str, ...]:
    return "-m", "benchmarks.ultralytics_training", model, FIRST_STEP, json.dumps(settings)
