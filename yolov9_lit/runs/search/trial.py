"""What a trial leaves in its run folder for the search and for the other trials.

Jobs write nothing but their own folder, and the search's process alone writes the study: so it
does not matter which launcher runs them, in which process or on which machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.coco_figures import FIGURES, KeypointResult
from yolov9_lit.evaluation.metric import MASK, POSE
from yolov9_lit.files import write_json

NAME = "trial.json"
"""The record's file in a run folder."""

VAL_AP = "val/AP"
GFLOPS = "gflops"
OBJECTIVES = (
    *(VAL_AP, f"val/{MASK}AP", f"val/{POSE}AP", GFLOPS, *FIGURES),
    *(f"{MASK}{name}" for name in FIGURES),
    *(f"{POSE}{name}" for name in KeypointResult._fields),
)
"""What can be searched for: the best validation AP, that by which trials are given up; deployed
GFLOPs (fewer are better); and the test's figures: of boxes, and of masks and keypoints where the
task finds such."""


@dataclass
class TrialRecord:
    """A trial so far.

    Attributes:
        gflops: of the deployed model.
        curve: the monitored validation AP (fraction) by epoch.
        pruned: epoch after which the trial was given up; None where it was not.
        values: the objectives, once the trial is through.
        monitor: name of that AP.
    """

    gflops: float
    curve: dict[int, float] = field(default_factory=dict)
    pruned: int | None = None
    values: tuple[float, ...] | None = None
    monitor: str = VAL_AP

    def best(self, epoch: int | None = None) -> float:
        """Best AP, up to and including an epoch where one is given."""
        return max(ap for e, ap in self.curve.items() if epoch is None or e <= epoch)

    def write(self, folder: str | Path) -> None:
        """Put it into a run folder, whole or not at all."""
        write_json(Path(folder) / NAME, asdict(self))

    @classmethod
    def read(cls, folder: str | Path) -> TrialRecord | None:
        """Read it from a run folder; None where there is none."""
        path = Path(folder) / NAME
        if not path.is_file():
            return None
        stored = json.loads(path.read_text())
        stored["curve"] = {int(epoch): ap for epoch, ap in stored["curve"].items()}
        stored["values"] = tuple(stored["values"]) if stored["values"] else None
        return cls(**stored)


def check_objectives(names: Iterable[str]) -> None:
    """Refuse names that no training gives.

    Raises:
        UserError: there is one.
    """
    unknown = [name for name in names if name not in OBJECTIVES]
    if unknown:
        raise UserError(
            f"objectives names {', '.join(unknown)}: choose from {', '.join(OBJECTIVES)}."
        )


def objective_values(
    names: Iterable[str], figures: Mapping[str, float], folder: str | Path
) -> tuple[float, ...]:
    """Values of the objectives at a training's end; they are put into the trial's record too.

    Args:
        names: of the objectives.
        figures: of the training, by COCO's names.
        folder: the run's.

    Raises:
        UserError: the training kept no record, or an objective has no value.
    """
    names = list(names)
    check_objectives(names)
    record = TrialRecord.read(folder)
    if record is None or not record.curve:
        raise UserError(
            "A search needs validation and its callback: leave callbacks.pruner and "
            "trainer.limit_val_batches as they are."
        )
    known = {**figures, record.monitor: record.best(), GFLOPS: record.gflops}
    if lacking := [name for name in names if name not in known]:
        raise UserError(
            f"objectives names {', '.join(lacking)}, which this task does not measure: choose from "
            f"{', '.join(name for name in OBJECTIVES if name in known)}."
        )
    record.values = tuple(float(known[name]) for name in names)
    record.write(folder)
    return record.values
