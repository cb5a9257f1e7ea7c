"""Differences to the base row, by a paired bootstrap over the test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from yolov9_lit.data.coco.truth import Truth, read_ground_truth
from yolov9_lit.errors import UserError
from yolov9_lit.research.report.matches import Floats, match
from yolov9_lit.research.report.rows import Row, base_of
from yolov9_lit.research.report.runs import Run
from yolov9_lit.research.report.settings import Settings
from yolov9_lit.research.report.statistics import Difference, draw_images, paired_difference

AGREE = 0.002
"""Largest difference in AP between results.json and detections.json, which has rounded numbers."""


class Resampled(NamedTuple):
    """A run's AP on resamples of the test images.

    Attributes:
        ap: (B,) in percent.
        truth: names the images and objects it was tested on.
    """

    ap: Floats
    truth: str


class Comparison(NamedTuple):
    """A row beside its base.

    Attributes:
        base: what it is compared with.
        difference: in AP, percent; None where they share no seed.
        note: why there is no difference or no interval; empty where there is one.
    """

    base: Row
    difference: Difference | None
    note: str


def compare(
    rows: Sequence[Row], base: Settings, *, replicates: int, seed: int
) -> dict[str, Comparison]:
    """Compare each row with its base.

    Args:
        rows: all.
        base: settings of the base, see `base_of`.
        replicates: number of resamples of the images.
        seed: of the draw.

    Returns:
        By the row's label; rows without results or without a base are absent.
    """
    bases = [(row, other) for row in rows if row.runs and (other := base_of(row, rows, base))]
    needed = {run.folder: run for two in bases for pair in _pairs(*two) for run in pair}
    read_truth = cache(_read_truth)
    known = {
        run.folder: _resample(run, read_truth, replicates, seed)
        for run in track(needed.values(), "Resampling the test images", transient=True)
    }
    return {row.label: _compare(row, other, known) for row, other in bases}


def _pairs(row: Row, base: Row) -> list[tuple[Run, Run]]:
    """Return the runs of the seeds that both have, in pairs."""
    theirs = {run.seed: run for run in base.runs}
    return [(run, theirs[run.seed]) for run in row.runs if run.seed in theirs]


def _compare(row: Row, base: Row, known: Mapping[Path, Resampled | str]) -> Comparison:
    pairs = _pairs(row, base)
    if not pairs:
        return Comparison(base, None, "no seed in common with its base")
    by_seed = [100 * ours.figures["AP"] - 100 * theirs.figures["AP"] for ours, theirs in pairs]
    found = [known[run.folder] for pair in pairs for run in pair]
    resampled = [one for one in found if isinstance(one, Resampled)]
    problems = [one for one in found if isinstance(one, str)]
    if len({one.truth for one in resampled}) > 1:
        problems.append("not tested on the same images")
    if problems:
        note = "; ".join(dict.fromkeys(problems))
        return Comparison(base, paired_difference(by_seed, None), note)
    aps = [
        ours.ap - theirs.ap for ours, theirs in zip(resampled[::2], resampled[1::2], strict=True)
    ]
    return Comparison(base, paired_difference(by_seed, aps), "")


def _resample(
    run: Run, read_truth: Callable[[str], Truth | None], replicates: int, seed: int
) -> Resampled | str:
    """Resample a run's test images; the same resamples for all runs with as many test images.

    Returns:
        The run's AP on each, or a sentence why it cannot be had.
    """
    name = run.folder.name
    annotations = run.record.result.annotations or "(not recorded)"
    truth, path = read_truth(annotations), run.folder / "detections.json"
    if truth is None:
        return f"{name}: its annotations {annotations} cannot be read here"
    try:
        matches = match(truth, json.loads(path.read_text()))
    except Exception as error:  # Of any kind, for what is no detection.
        return f"{name}: detections.json is missing or does not fit ({_short(error)})"
    if matches.num_images != run.num_images:
        return f"{name}: tested on {run.num_images} of {matches.num_images} images"
    (ap,) = matches.average_precision(np.ones((1, matches.num_images), dtype=np.int64))
    if not abs(ap - run.figures["AP"]) <= AGREE:
        return f"{name}: its detections give AP {ap:.4f}, not {run.figures['AP']:.4f}"
    weights = draw_images(matches.num_images, replicates, seed)
    return Resampled(100 * matches.average_precision(weights), matches.truth)


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _read_truth(path: str) -> Truth | None:
    """Read the annotations; None where they cannot be read."""
    try:
        return read_ground_truth(Path(path))
    except (OSError, UserError):
        return None
