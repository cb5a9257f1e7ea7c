"""What `eval corruption=coco_c` adds to an evaluation: one more under each corruption."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.building import build
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.evaluation.robustness import CLEAN, Robustness
from yolov9_lit.files import atomic_write, write_json
from yolov9_lit.reporting.console import console
from yolov9_lit.reporting.page import Section, write_sections
from yolov9_lit.reporting.render import terminal
from yolov9_lit.runs.identity import NODE, differences
from yolov9_lit.training.evaluation import EvaluationModule
from yolov9_lit.training.trainer import build_trainer

if TYPE_CHECKING:
    from yolov9_lit.data.corruptions.corruption import Corruption

log = logging.getLogger(__name__)

FILE = "corruption.json"

_FREE = ("pictures", "seed", "corruption.kinds", "corruption.severities")
"""Settings that a row does not depend on; with `execution` they may differ when one goes on."""


class Corruptions(NamedTuple):
    """What a config says of corruption.

    Attributes:
        always: applied in the one evaluation; None for none.
        each: evaluated under, one after the other, after the images as they are.
    """

    always: Corruption | None
    each: Sequence[Corruption]


def corruptions_of(cfg: DictConfig) -> Corruptions:
    """Build the corruptions of a config.

    Raises:
        UserError: a setting of them is not valid.
    """
    if not cfg.get("corruption"):
        return Corruptions(None, [])
    from yolov9_lit.data.corruptions.corruption import Corruption  # albumentations takes a second
    from yolov9_lit.data.corruptions.suite import Suite

    built = build(cfg.corruption)
    if isinstance(built, Suite):
        return Corruptions(None, built.corruptions())
    if isinstance(built, Corruption):
        return Corruptions(built, [])
    raise UserError(
        "corruption._target_ makes neither a Suite nor a Corruption: start from "
        "conf/corruption/coco_c.yaml or one.yaml."
    )


class Rows:
    """The figures that are measured so far, in a run's folder; a killed evaluation goes on there.

    Attributes:
        rows: "kind", "severity" and figures, the images as they are first.
    """

    def __init__(self, folder: Path, cfg: DictConfig, checkpoint: Path) -> None:
        """Read what an earlier evaluation has left.

        Raises:
            UserError: it was another one.
        """
        self._path = folder / FILE
        plain = OmegaConf.to_container(cfg, resolve=True)
        status = checkpoint.stat()
        self._of = {"config": plain, "file": [status.st_size, status.st_mtime_ns]}
        self.rows: list[dict[str, Any]] = []
        if self._path.is_file():
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._require_same(content)
            self.rows = content["rows"]

    def _require_same(self, earlier: Mapping[str, Any]) -> None:
        now = self._of["config"]
        assert isinstance(now, dict)
        other = [
            key
            for key in differences(earlier["config"], now, now.get(NODE))
            if not key.startswith(_FREE)
        ]
        if earlier["file"] != self._of["file"]:
            other.append("ckpt, a file that has changed")
        if other:
            raise UserError(
                f"{self._path} has figures of another evaluation (of {first_few(other)}): give "
                "another run_dir, or the settings of that one to go on."
            )

    def find(self, kind: str, severity: int) -> dict[str, Any] | None:
        """Return a row, if it is there."""
        found = (r for r in self.rows if (r["kind"], r["severity"]) == (kind, severity))
        return next(found, None)

    def figures(self, kind: str, severity: int) -> dict[str, float] | None:
        """Return the figures of a row, if it is there."""
        row = self.find(kind, severity)
        if row is None:
            return None
        return {name: value for name, value in row.items() if name not in ("kind", "severity")}

    def add(self, kind: str, severity: int, figures: Mapping[str, float]) -> None:
        """Add a row, and write all."""
        self.rows.append({"kind": kind, "severity": severity, **figures})
        self._write()

    @rank_zero_only
    def _write(self) -> None:
        write_json(self._path, {**self._of, "rows": self.rows})


def measure(
    corruptions: Sequence[Corruption],
    rows: Rows,
    module: EvaluationModule,
    datamodule: DetectionDataModule,
    trainer_node: DictConfig,
) -> Robustness:
    """Evaluate under each corruption that has no row yet.

    Args:
        corruptions: to evaluate under.
        rows: with that of the images as they are.
        module: which measures.
        datamodule: with the test's images; its corruption is none again at the end.
        trainer_node: of the config.
    """
    silent = OmegaConf.merge(trainer_node, {"enable_progress_bar": False})
    assert isinstance(silent, DictConfig)
    trainer = build_trainer(silent, [], logger=False)
    left = [c for c in corruptions if rows.find(c.kind, c.severity) is None]
    begin = time.monotonic()
    for number, corruption in enumerate(left, start=1):
        datamodule.corruption = corruption
        trainer.test(module, datamodule, verbose=False)
        rows.add(corruption.kind, corruption.severity, module.figures)
        minutes = (time.monotonic() - begin) / number * (len(left) - number) / 60
        log.info(
            "%d of %d: %s at severity %d: AP %.1f %%; about %.0f min left",
            *(number, len(left), corruption.kind, corruption.severity),
            *(100 * module.figures["AP"], minutes),
        )
    datamodule.corruption = None
    wanted = [(CLEAN, 0), *((c.kind, c.severity) for c in corruptions)]
    return Robustness.of([row for pair in wanted if (row := rows.find(*pair))])


@rank_zero_only
def write_robustness(robustness: Robustness, folder: Path, told: str) -> None:
    """Show the table; write corruption.csv, the curves, corruption.html, and mPC to results.json.

    Args:
        robustness: complete.
        folder: of the run.
        told: what was evaluated, one line.
    """
    with atomic_write(folder / "corruption.csv") as part:
        robustness.rows.to_csv(part, index=False)
    tables = [robustness.table(prefix) for prefix in robustness.prefixes]
    plots = [
        robustness.plot(folder / f"{prefix}corruption.png", prefix)
        for prefix in robustness.prefixes
    ]
    section = Section(
        "Under corruption",
        "AP by kind and severity. mPC is the mean over kinds and severities, rPC its share of AP on"
        " the images as they are (clean). The kinds are drawn by this package with parameters of"
        " its own: compare models that are measured by it, not with figures published elsewhere.",
        plots,
        tables,
    )
    page = write_sections(folder / "corruption.html", "Under corruption", told, [section])
    results = folder / "results.json"
    known = json.loads(results.read_text(encoding="utf-8"))
    write_json(results, known | robustness.summary(), indent=2)
    for table in tables:
        console().print(terminal(table))
    log.info("AP under corruption: %s", page)
