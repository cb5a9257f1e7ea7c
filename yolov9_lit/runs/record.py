"""What a run tells of itself: `run.json` in its folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_type_hints

from omegaconf import DictConfig

from yolov9_lit.errors import UserError
from yolov9_lit.files import write_json
from yolov9_lit.kinds import fits
from yolov9_lit.runs.identity import fingerprint
from yolov9_lit.runs.provenance import file_state, git_state

FILE = "run.json"
Status = Literal["running", "interrupted", "done", "failed", "diverged"]
PACKAGES = ("torch", "torchvision", "lightning", "numpy", "albumentations", "yolov9_lit")


@dataclass(frozen=True)
class Result:
    """What a training gives.

    Attributes:
        figures: of the test, as fractions, or of the last validation where there was no test.
        cost: "train_params" and "train_gflops", "params" and "gflops" (deployed); at 640 pixels.
        epochs: finished ones.
        seconds_per_epoch: median of the training epochs, evaluation not counted.
        peak_memory_mb: largest memory in use in training: the device's, or this process's on CPU.
        data: by split, the "pictures" and "boxes" that were in batches and the "faults" by kind; of
            a training also "boxes_drawn" and "boxes_trained", before and after the first epoch's
            augmentation.
        annotations: COCO file of the test.
        time_limit: `trainer.max_time` that ended it before its last epoch; None where none did.
    """

    figures: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds_per_epoch: float | None = None
    peak_memory_mb: float | None = None
    data: dict[str, Any] = field(default_factory=dict)
    annotations: str = ""
    time_limit: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """One run. In `run.json` its result's fields stand beside its own.

    Attributes:
        status: "running" also stands for a run that was killed: it can be continued, as one that
            was "interrupted" by Ctrl-C or SIGTERM; "diverged": loss or weights were not finite.
        config: of the experiment (see `runs.identity`); empty where a mistake was found before that
            was known.
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
        result: what it gave; empty before its end.
    """

    status: Status
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    choices: dict[str, str | None] = field(default_factory=dict)
    seed: int | None = None
    sweep: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool = False
    device: str = ""
    started: str = ""
    ended: str | None = None
    weights: dict[str, str] | None = None
    resumed: int = 0
    error: str | None = None
    result: Result = field(default_factory=Result)

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
            seed=cfg.seed if isinstance(cfg.seed, int) else None,  # A wrong one is the error.
            sweep=cfg.sweep,
            versions={"python": platform.python_version()} | {p: _version(p) for p in PACKAGES},
            commit=commit,
            dirty=dirty,
            device=_device(),
            started=now(),
            weights=file_state(cfg.ckpt),
        )

    @classmethod
    def read(cls, folder: Path) -> RunRecord | None:
        """Read the record of a run's folder; None where there is none.

        Raises:
            UserError: the file is damaged or of another version.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(**_known(cls, content), result=Result(**_known(Result, content)))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path} is no record of a run ({error}): move it away.") from error

    def write(self, folder: Path) -> None:
        """Write or replace the record of that folder."""
        content = asdict(self)
        content |= {**content.pop("result"), "fingerprint": self.fingerprint}
        write_json(folder / FILE, content, indent=2)

    def ending(self, status: Status, **values: Any) -> RunRecord:
        """Return the same run, ended now."""
        return replace(self, status=status, ended=now(), **values)

    @property
    def time_up(self) -> str:
        """What is to be told of a training that ended as its time was up; empty for others."""
        if self.result.time_limit is None:
            return ""
        epochs = f"{self.result.epochs} of {self.config.get('trainer', {}).get('max_epochs')}"
        return (
            f"Time was up after {epochs} epochs; a trainer.max_time above "
            f"{self.result.time_limit}, in which all starts count, goes on"
        )

    @property
    def fingerprint(self) -> str:
        """Short hash of the config: equal for equal experiments, wherever they run."""
        return fingerprint(self.config)


def now() -> str:
    """Return the ISO time, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _device() -> str:
    import torch  # Who reads records only does without it.

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on PYTHONPATH
        return "unknown"


def _known(cls: type[RunRecord] | type[Result], content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a class; a later version may have others.

    Raises:
        TypeError: a value is of another kind than the field.
    """
    kinds = get_type_hints(cls)
    known = {name: content[name] for name in kinds if name in content and name != "result"}
    for name, value in known.items():
        if not fits(value, kinds[name]):
            raise TypeError(f"its {name} is {value!r:.60}")
    return known
