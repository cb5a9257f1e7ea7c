"""What a run tells of itself: `run.json` in its folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig

from yolov9_lit.errors import UserError
from yolov9_lit.files import write_json
from yolov9_lit.runs.identity import fingerprint
from yolov9_lit.runs.provenance import file_state, git_state

FILE = "run.json"
PACKAGES = ("torch", "torchvision", "lightning", "numpy", "albumentations", "yolov9_lit")


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        status: "running" also stands for a run that was killed: it can be continued.
        config: resolved config without the keys that only say where and how; empty where a mistake
            was found before that was known.
        overrides: what the user gave on the command line, or the sweep for this job.
        choices: chosen option of each config group.
        seed: of the run.
        sweep: name of the sweep; None for a single run.
        versions: of Python and the main packages.
        commit: of the package's checkout; None outside git.
        dirty: whether that checkout had changes.
        device: kind of the device.
        started: ISO time, UTC.
        ended: ISO time, UTC; None while running.
        weights: "path" and "sha256" of the checkpoint that the training started from; None: fresh.
        resumed: how often the run was continued.
        error: traceback of a failed run.
        figures: of the test, as fractions, or of the last validation where there was no test.
        cost: "train_params", "params" and "gflops" (both deployed, 640 pixels).
        epochs: finished ones.
        seconds_per_epoch: median of the training epochs, evaluation not counted.
        peak_memory_mb: largest memory in use in training: the device's, or this process's on CPU.
        data: by split, the "pictures" and "boxes" that were used and the "faults" by kind.
        annotations: COCO file of the test; empty before the end.
    """

    status: Literal["running", "done", "failed"]
    config: dict[str, Any]
    overrides: list[str]
    choices: dict[str, str | None]
    seed: int
    sweep: str | None
    versions: dict[str, str]
    commit: str | None
    dirty: bool
    device: str
    started: str
    ended: str | None = None
    weights: dict[str, str] | None = None
    resumed: int = 0
    error: str | None = None
    figures: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds_per_epoch: float | None = None
    peak_memory_mb: float | None = None
    data: dict[str, Any] = field(default_factory=dict)
    annotations: str = ""

    @classmethod
    def begin(
        cls,
        cfg: DictConfig,
        config: dict[str, Any],
        *,
        overrides: list[str],
        choices: Mapping[str, str | None],
    ) -> RunRecord:
        """Describe a run that starts now."""
        commit, dirty = git_state()
        return cls(
            status="running",
            config=config,
            overrides=overrides,
            choices=dict(choices),
            seed=cfg.seed,
            sweep=cfg.sweep,
            versions={"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            commit=commit,
            dirty=dirty,
            device=_device(),
            started=now(),
            weights=file_state(cfg.ckpt),
        )

    @classmethod
    def read(cls, folder: Path) -> RunRecord | None:
        """The record of a run's folder; None where there is none.

        Raises:
            UserError: the file is damaged or of another version.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            names = {f.name for f in fields(cls)}
            return cls(**{name: value for name, value in content.items() if name in names})
        except (json.JSONDecodeError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is no record of a run ({error}): move it away.") from error

    def write(self, folder: Path) -> None:
        """Write or replace the record of that folder."""
        write_json(folder / FILE, asdict(self) | {"fingerprint": self.fingerprint}, indent=2)

    def ending(self, status: Literal["done", "failed"], **values: Any) -> RunRecord:
        """The same run, ended now."""
        return replace(self, status=status, ended=now(), **values)

    @property
    def fingerprint(self) -> str:
        """Short hash of the config: equal for equal experiments, wherever they run."""
        return fingerprint(self.config)


def now() -> str:
    """ISO time, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"
