"""What a run's own detections tell of it: AP by class, and AP on resamples of the test images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from rich.progress import track

from yolov9_lit.data.class_choice import ClassChoice
from yolov9_lit.data.coco.judge import judge_annotations
from yolov9_lit.data.coco.records import load_records
from yolov9_lit.data.coco.truth import Truth, read_ground_truth
from yolov9_lit.data.keypoint_settings import KeypointSettings
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.coco_task import Kind
from yolov9_lit.research.report.matches import Floats, Matches, match
from yolov9_lit.research.report.metrics import COMPARED, KINDS, named
from yolov9_lit.research.report.runs import Run
from yolov9_lit.research.report.statistics import draw_images

Sigmas = tuple[float, ...] | None
"""Those of a run's keypoints that it took in place of the data's; None where it took these."""

AGREE = 0.002
"""Largest difference in AP between results.json and detections.json, which has rounded numbers."""


class ClassFigure(NamedTuple):
    """One class of the test.

    Attributes:
        objects: number of those to be found.
        ap: in percent; NaN without objects.
    """

    objects: int
    ap: float


class Tested(NamedTuple):
    """A run's test, evaluated again.

    Attributes:
        ap: (B,) the figure on resamples of the images, in percent; B is 0 where none were asked
            for.
        truth: names the images and objects it was tested on.
        classes: by name, in the order of their ids.
    """

    ap: Floats
    truth: str
    classes: Mapping[str, ClassFigure]


Tests = Mapping[Path, Tested | str]
"""By a run's folder; in place of a test a sentence that says why it cannot be had."""


def read_tests(
    runs: Iterable[Run],
    resampled: Collection[Path],
    *,
    replicates: int,
    seed: int,
    figure: str = COMPARED[0],
) -> Tests:
    """Evaluate the detections of runs again; the same resamples for all with as many images.

    Args:
        runs: those that count and have the figure.
        resampled: folders of the runs to be resampled.
        replicates: number of resamples of the images.
        seed: of the draw.
        figure: one of `COMPARED`, of boxes, masks or keypoints.
    """
    runs = list(runs)
    read_truth = cache(_read_truth)
    others = dict.fromkeys(filter(None, (run.record.result.annotations for run in runs)))
    shown = track(runs, "Resampling the test images", transient=True)
    return {
        run.folder: _read_test(
            run, figure, others, read_truth, replicates * (run.folder in resampled), seed
        )
        for run in shown
    }


def _read_test(
    run: Run,
    figure: str,
    others: Iterable[str],
    read_truth: Callable[[str, Kind, Sigmas, ClassChoice], Truth | None],
    replicates: int,
    seed: int,
) -> Tested | str:
    """Test a run by its own annotations.

    Of a run of another machine, whose annotations are not here, by those of other runs that are,
    if its detections give its figure with them.
    """
    annotations, kind = run.record.result.annotations or "(not recorded)", KINDS[figure]
    given = run.config.get("data.keypoints.sigmas")  # In place of what the annotations say.
    sigmas = tuple(given) if isinstance(given, list) else None
    choice = _choice(run)
    truth = read_truth(annotations, kind, sigmas, choice)
    if truth is not None:
        return _test(run, figure, truth, replicates, seed)
    for path in others:
        truth = read_truth(path, kind, sigmas, choice)
        tested = "" if truth is None else _test(run, figure, truth, replicates, seed)
        if isinstance(tested, Tested):
            return tested
    return f"{run.folder.name}: its annotations {annotations} cannot be read here"


def _choice(run: Run) -> ClassChoice:
    classes, single = run.config.get("data.classes"), run.config.get("data.single_class")
    return ClassChoice.given(
        classes if isinstance(classes, list) else None,
        single if isinstance(single, bool | str) else False,
    )


def _test(run: Run, figure: str, truth: Truth, replicates: int, seed: int) -> Tested | str:
    name, path = run.folder.name, run.folder / "detections.json"
    try:
        matches = match(truth, msgspec.json.decode(path.read_bytes()), KINDS[figure])
    except Exception as error:  # Of any kind, for what is no detection.
        return f"{name}: detections.json is missing or does not fit ({_short(error)})"
    if matches.num_images != run.num_images:
        return f"{name}: tested on {run.num_images} of {matches.num_images} images"
    once = np.ones((1, matches.num_images), dtype=np.int64)
    (ap,) = matches.average_precision(once)
    known = run.figures[figure]
    if not abs(ap - known) <= AGREE:
        return f"{name}: its detections give {named(figure)} {ap:.4f}, not {known:.4f}"
    weights = draw_images(matches.num_images, replicates, seed)
    resampled = 100 * matches.average_precision(weights)
    return Tested(resampled, matches.truth, _classes(truth, matches))


def _classes(truth: Truth, matches: Matches) -> dict[str, ClassFigure]:
    once = np.ones((1, matches.num_images), dtype=np.int64)
    names = [str(entry["name"]) for entry in sorted(truth["categories"], key=lambda c: c["id"])]
    return {
        name: ClassFigure(int(one.positives.sum()), 100 * float(one.average_precision(once).item()))
        for name, one in zip(names, matches.classes, strict=True)
    }


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _read_truth(path: str, kind: Kind, sigmas: Sigmas, choice: ClassChoice) -> Truth | None:
    """Read the annotations of the chosen classes; None where they cannot be read."""
    file = Path(path)
    try:
        layout = judge_annotations(load_records(file)).keypoints if kind == "keypoints" else None
        layout = layout and KeypointSettings(sigmas=sigmas).applied(layout)
        truth = read_ground_truth(file, masks=kind == "segm", keypoints=layout)
        return choice.of_truth(truth, file)
    except (OSError, UserError):
        return None
