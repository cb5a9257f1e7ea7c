"""Seconds of a prediction from the checkpoint to the last file written, by package and runtime."""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import cv2
import torch
from rich.table import Table

from benchmarks.deployed import ultralytics, write_weights
from benchmarks.peers import ultralytics_is_there
from benchmarks.turns import Measure, in_turns, ratio
from yolov9_lit.app.configs import compose
from yolov9_lit.app.convert import convert
from yolov9_lit.app.predict import predict
from yolov9_lit.checks import existing_folder
from yolov9_lit.data.images import has_image_ending, read_image
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError, counted
from yolov9_lit.inference.export.format import ExportRecord, InputShape
from yolov9_lit.inference.export.formats.openvino import OpenVinoFormat
from yolov9_lit.inference.export.graph import CandidateGraph
from yolov9_lit.inference.export.outputs import names_of
from yolov9_lit.inference.predictor import Predictor, load
from yolov9_lit.inference.source import open_source
from yolov9_lit.kinds import InputSide, PathText, PositiveInt

OURS, THEIRS = "yolov9_lit", "ultralytics"
IOU = 0.45
TALLY = "boxes"
"""Name of the file in which a package leaves the number of its boxes."""


@dataclass(frozen=True)
class PredictionBenchmark:
    """Measures `predict` beside Ultralytics', on a folder of images with a video in it.

    Attributes:
        pictures: folder with images; None for drawn ones.
        models: options of the `model` group, GELAN ones.
        runtimes: that each package predicts in.
        image_size: longest side that the network sees.
        images: first ones of the folder that are taken.
        frames: of the video, which is made of the same images.
        boxes: an image or frame has on average; the confidence is chosen for it.
        rounds: in which the packages take turns.
    """

    pictures: PathText | None
    models: Sequence[str]
    runtimes: Sequence[Literal["pytorch", "openvino"]]
    image_size: InputSide
    images: PositiveInt
    frames: PositiveInt
    boxes: PositiveInt
    rounds: PositiveInt

    def __call__(self) -> tuple[Sequence[Table], Mapping[str, Any]]:
        """Measure; return a table and the same figures for JSON."""
        if not ultralytics_is_there():
            raise UserError("This needs Ultralytics, to be measured: pip install -e '.[bench]'.")
        seconds: dict[str, dict[str, dict[str, list[float]]]] = {}
        boxes: dict[str, dict[str, dict[str, int]]] = {}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = self._lay_out(folder / "source")
            for model in self.models:
                weights = write_weights(model, folder)
                confidence = self._confidence(weights, source)
                seconds[model], boxes[model] = {}, {}
                for runtime in self.runtimes:
                    contenders: dict[str, Callable[[], Measure]] = {
                        package: partial(
                            _start,
                            partial(run, _in_runtime(package, weights, runtime, self.image_size)),
                            source,
                            folder / f"{model}-{runtime}-{package}",
                            confidence,
                            self.image_size,
                        )
                        for package, run in ((OURS, ours), (THEIRS, theirs))
                    }
                    seconds[model][runtime] = in_turns(contenders, self.rounds).figures
                    boxes[model][runtime] = {
                        package: int((folder / f"{model}-{runtime}-{package}" / TALLY).read_text())
                        for package in contenders
                    }
        return [self._table(seconds, boxes)], {
            "image_size": self.image_size,
            "images": self.images,
            "frames": self.frames,
            "boxes": boxes,
            "seconds": seconds,
            "ratio": {
                model: {name: ratio(s[OURS], s[THEIRS])._asdict() for name, s in runtimes.items()}
                for model, runtimes in seconds.items()
            },
        }

    def _lay_out(self, source: Path) -> Path:
        """Copy the images, and write a video of them."""
        source.mkdir()
        if self.pictures is None:
            root = make_shapes(source.parent / "shapes", train=0, val=self.images, image_size=640)
            given = root / "val2017"
        else:
            given = existing_folder("what.pictures", Path(self.pictures).expanduser())
        paths = sorted(path for path in given.iterdir() if has_image_ending(path))[: self.images]
        if len(paths) < self.images:
            raise UserError(
                f"{given} has {counted(len(paths), 'image')}, not what.images={self.images}: give "
                "fewer, or another folder."
            )
        for path in paths:
            shutil.copy(path, source)
        size = (640, 480)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        video = cv2.VideoWriter(str(source / "video.mp4"), code, 25, size)
        for i in range(self.frames):
            image = read_image(paths[i % len(paths)])
            video.write(cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), size))
        video.release()
        return source

    def _confidence(self, weights: Path, source: Path) -> float:
        """Return the confidence at which images and frames have the wanted number on average."""
        predictor = load(weights).deploy()
        scores = torch.cat(
            [
                predictor.predict(frame.image, confidence=0.0, iou=IOU, image_size=self.image_size)[
                    0
                ].scores
                for frame in open_source(source)
            ]
        ).sort(descending=True)[0]
        return float(scores[min(self.boxes * (self.images + self.frames), len(scores) - 1)])

    def _table(
        self,
        seconds: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]],
        boxes: Mapping[str, Mapping[str, Mapping[str, int]]],
    ) -> Table:
        title = f"Prediction of {self.images} images and {self.frames} frames"
        table = Table("model", "runtime", "package", title=title, title_justify="left")
        for name in ("images/s", "boxes", "ours / it"):
            table.add_column(name, justify="right")
        for model, runtimes in seconds.items():
            for runtime, packages in runtimes.items():
                for package, measured in packages.items():
                    rate = (self.images + self.frames) / statistics.median(measured)
                    compared = str(ratio(packages[OURS], measured)) if package == THEIRS else ""
                    count = str(boxes[model][runtime][package])
                    table.add_row(model, runtime, package, f"{rate:.1f}", count, compared)
        return table


def ours(weights: str, source: Path, out: Path, confidence: float, size: int) -> int:
    """Predict with this package as its command does; return the number of boxes."""
    settings = {
        "ckpt": weights,
        "source": source,
        "run_dir": out,
        "confidence": confidence,
        "iou": IOU,
        "image_size": size,
        "device": "cpu",
    }
    cfg = compose("predict", [f"{key}={value}" for key, value in settings.items()])
    return len(json.loads((predict(cfg) / "detections.json").read_text()))


def theirs(weights: str, source: Path, out: Path, confidence: float, size: int) -> int:
    """Predict with Ultralytics, annotated copies saved; return the number of boxes."""
    if Path(weights).is_dir():
        _hold_openvino_to_float32()
    results = ultralytics(weights).predict(
        source=str(source),
        stream=True,
        save=True,
        project=str(out.parent),
        name=out.name,
        exist_ok=True,
        conf=confidence,
        iou=IOU,
        imgsz=size,
        device="cpu",
        verbose=False,
    )
    return sum(len(result.boxes) for result in results)


@cache
def _hold_openvino_to_float32() -> None:
    """Let this process compile as this package does: OpenVINO's own choice may be bfloat16."""
    core = importlib.import_module("openvino").Core
    compile_model = core.compile_model

    def in_float32(self: Any, model: Any, device_name: str, config: Mapping[str, Any]) -> Any:
        return compile_model(
            self, model, device_name, {**config, "INFERENCE_PRECISION_HINT": "f32"}
        )

    core.compile_model = in_float32


def _in_runtime(package: str, weights: Path, runtime: str, size: int) -> str:
    """Return the checkpoint in the package's own form, or what the package exports it to."""
    if package == THEIRS and runtime == "pytorch":
        return str(weights)
    if package == THEIRS:
        return str(ultralytics(str(weights)).export(format="openvino", imgsz=size, verbose=False))
    if runtime == "pytorch":
        out = weights.with_suffix(".ckpt")
        convert(compose("convert", [f"src={weights}", f"out={out}"]))
        return str(out)
    predictor = load(weights)
    assert isinstance(predictor, Predictor)
    for noisy in ("onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    out = weights.with_suffix(".xml")
    names = names_of(predictor.detector, nms=False)
    record = ExportRecord(predictor.card, InputShape(1, size, size), names)
    # Unchecked: random weights blow rounding up beyond what the export command allows.
    OpenVinoFormat().write(CandidateGraph(predictor.detector).eval(), record, out)
    return str(out)


def _start(
    run: Callable[[Path, Path, float, int], int],
    source: Path,
    folder: Path,
    confidence: float,
    size: int,
) -> Measure:
    def measure() -> float:
        """Return the seconds of a prediction into a new folder."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        start = time.perf_counter()
        count = run(source, folder / "out", confidence, size)
        seconds = time.perf_counter() - start
        (folder / TALLY).write_text(str(count))
        return seconds

    measure()
    return measure
