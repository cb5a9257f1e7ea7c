"""Run folders as they lie on disk: finished, running, failed or damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from yolov9_lit.errors import UserError, error_line
from yolov9_lit.kinds import fits
from yolov9_lit.research.paper import paper_figures
from yolov9_lit.research.report.metrics import read_metrics
from yolov9_lit.runs.identity import NODE, is_experiment, moved
from yolov9_lit.runs.record import FILE, RunRecord

FIGURES = ("AP", "AP50", "AP75", "AP_s", "AP_m", "AP_l")
"""The figures of boxes in `results.json` that a report shows."""

MASK_FIGURES = tuple(f"mask_{name}" for name in FIGURES)
"""The same of masks, where a run finds masks."""

KEYPOINT_FIGURES = tuple(f"pose_{name}" for name in FIGURES if name != "AP_s")
"""Those of keypoints, where a run finds keypoints; COCO has none of small objects."""

ALL = FIGURES + MASK_FIGURES + KEYPOINT_FIGURES

_BEFORE: dict[str, str | None] = {"task": "detect", "aux_schedule": "constant"}
"""What runs chose of a group that their version did not have."""


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        folder: its own.
        status: "done", "running" (or killed), "failed", or "unknown" where it left no record.
        problem: why it does not count, one line; empty where it counts.
        config: its composed config, flat: dotted key -> value, interpolations as written.
        choices: chosen option of each config group.
        seed: of the run.
        figures: of the test, as fractions; empty without results. COCO's -1 (nothing there to be
            found) is left out.
        num_images: number of tested images.
        record: what the run tells of itself; a blank one where it cannot be read.
        curves: see `metrics.Metrics`.
        losses: see `metrics.Metrics`.
        paper: the paper's figures of this row, AP in percent; empty where it has none.
    """

    folder: Path
    status: str
    problem: str
    config: Mapping[str, Any]
    choices: Mapping[str, str | None]
    seed: int | None
    figures: Mapping[str, float]
    num_images: int | None
    record: RunRecord
    curves: Mapping[str, pd.Series[float]]
    losses: pd.DataFrame
    paper: Mapping[str, Any]

    @property
    def counts(self) -> bool:
        """Whether its figures enter the report's table."""
        return not self.problem

    @property
    def max_epochs(self) -> int | None:
        """Epochs it was asked for; None where its config does not tell."""
        return _whole(self.config.get("trainer.max_epochs"))

    @property
    def commit(self) -> str:
        """Start of the commit of its code, with * where that had changes; empty if not known."""
        commit = (self.record.commit or "")[:7]
        return f"{commit}*" if commit and self.record.dirty else commit


def read_runs(directory: Path) -> list[Run]:
    """Read every training at or below a folder, in the order of their paths.

    Args:
        directory: of one run, of a sweep or of several.

    Raises:
        UserError: there is no such folder, or no training below it.
    """
    if not directory.is_dir():
        raise UserError(f"There is no folder {directory} (runs): give the folder of a sweep.")
    below = list(_below(directory))
    folders = {folder for folder, files in below if FILE in files}
    jobs = {folder.parent: folder for folder, _ in below if folder.name == ".hydra"}
    folders |= {job for job in jobs.keys() - folders if _trains(jobs[job] / "hydra.yaml")}
    if not folders:
        raise UserError(
            f"{directory} holds no training (runs): give the folder of a sweep, such as "
            "multirun/NAME, or of a single run."
        )
    return [read_run(folder) for folder in sorted(folders)]


def _below(directory: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder at or below one and its files' names; by way of links too, but once."""
    seen = set()
    for place, inside, files in os.walk(directory, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            inside.clear()
            continue
        seen.add(real)
        yield Path(place), files


def read_run(folder: Path) -> Run:
    """Read one run's folder, whatever state it is in."""
    record, damage = _read_record(folder)
    refused = record.status == "failed" and not record.config
    results, no_results = _read_results(folder / "results.json")
    # Of a run that was refused the config is not known in full: compared with others', it would
    # take every key that it lacks for a setting.
    config, paper = ({}, {}) if refused else _read_config(folder, record)
    choices = _BEFORE | (record.choices or _read_choices(folder))
    curves, losses = read_metrics(folder / "metrics.csv")
    known = damage or (folder / FILE).is_file()
    status = record.status if known else "done" if results else "unknown"
    problem = damage or _problem(status, record, config, curves["AP"]) or no_results
    figures = {name: results[name] for name in ALL if results.get(name, -1) >= 0}
    if not problem and "AP" not in figures:
        nothing = "AP" in results
        problem = (
            "its test images hold no object" if nothing else "no results.json: it was not tested"
        )
    return Run(
        folder=folder,
        status="unknown" if damage else status,
        problem=problem,
        config=config,
        choices=choices,
        seed=_whole(config.get("seed")) if record.seed is None else record.seed,
        figures=figures,
        num_images=_whole(results.get("num_images")),
        record=record,
        curves=curves,
        losses=losses,
        paper=paper_figures(choices.get("row"), {"paper": paper}),
    )


def _read_record(folder: Path) -> tuple[RunRecord, str]:
    """Read the record (a blank one where there is none), and what is wrong with its file."""
    try:
        return RunRecord.read(folder) or RunRecord("running"), ""
    except UserError as error:
        return RunRecord("running"), str(error)


def _problem(
    status: str, record: RunRecord, config: Mapping[str, Any], curve: pd.Series[float]
) -> str:
    """Say why a run with such a status does not count; nothing where it does."""
    if not config and status != "failed":
        return "no readable .hydra/config.yaml"
    if status in ("failed", "diverged"):
        return error_line(record.error) or "no error recorded"
    if status != "done":
        done = int(curve.index.max()) + 1 if len(curve) else 0
        return f"{done} of {config.get('trainer.max_epochs', '?')} epochs validated"
    return ""


def _trains(hydra_yaml: Path) -> bool:
    """Whether a job is a training: evaluations and predictions have such folders as well."""
    return _select(_read_yaml(hydra_yaml), "hydra.job.name") == "train"


def _read_choices(folder: Path) -> dict[str, str | None]:
    choices = _select(_read_yaml(folder / ".hydra" / "hydra.yaml"), "hydra.runtime.choices")
    return {str(group): choice for group, choice in _mapping(choices).items()}


def _read_yaml(path: Path) -> Any:
    """Read what Hydra wrote, interpolations as written; None where it cannot be read.

    By the parser in C: OmegaConf's own takes a tenth of a second, which a thousand runs feel.
    """
    try:
        return yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError, RecursionError):  # written half
        return None


def _select(content: Any, key: str) -> Any:
    """Return what stands under a dotted key; None where there is nothing."""
    for part in key.split("."):
        content = _mapping(content).get(part)
    return content


def _read_config(folder: Path, record: RunRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the flat config and the paper's figures; both empty where there is none to be read.

    Hydra's file comes first: it has interpolations as written, so that what follows from the seed
    or repeats another key is no setting of its own. Of it counts what the record has: the
    experiment. The model is the record's, with its widths spelled out.
    """
    written = _read_yaml(folder / ".hydra" / "config.yaml")
    if not isinstance(written, dict):
        return _flat(moved(record.config)), {}
    numbers_and_names = (str, int, float)
    paper = _mapping(written.pop("paper", None))
    paper = {name: value for name, value in paper.items() if isinstance(value, numbers_and_names)}
    flat = _flat(moved(written))
    if not record.config:
        execution = _mapping(written.get(NODE))
        return {key: value for key, value in flat.items() if is_experiment(key, execution)}, paper
    experiment = _flat(moved(record.config))
    config = {key: flat.get(key, value) for key, value in experiment.items()}
    return config | {k: v for k, v in experiment.items() if k.startswith("model.")}, paper


def _flat(node: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as dotted keys; lists and empty dicts are values."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _mapping(value: Any) -> dict[Any, Any]:
    """Return a mapping as it is, an empty one in place of anything else."""
    return dict(value) if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int | None:
    """Return a whole number, None in place of anything else."""
    return value if fits(value, int) else None


def _read_results(path: Path) -> tuple[dict[str, Any], str]:
    """Content (empty where there is none) and what is wrong with the file."""
    if not path.exists():
        return {}, ""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return {}, f"{path} is damaged"
    for name in ALL:
        value = content.get(name, -1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value <= 1:
            return {}, f"{path} has {value!r:.40} as {name}, no fraction"
    return content, ""
