"""Where the detector fails, as a page in the run's folder."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from PIL import Image

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared, Pictures
from yolov9_lit.evaluation.analysis.report import FOLDER, write_report
from yolov9_lit.training.evaluation import EvaluationModule
from yolov9_lit.training.loggers import ContinuingCSVLogger
from yolov9_lit.training.loggers.images import LoggedImage, image_loggers
from yolov9_lit.training.loggers.rows import current_step

log = logging.getLogger(__name__)


class AnalysisReport(L.Callback):
    """Writes `report.html`, and its tables and plots, when a test ends."""

    def __init__(self, directory: str | Path, analyses: Mapping[str, Analysis]) -> None:
        """Set what is written.

        Args:
            directory: of the page.
            analyses: its parts, by name.
        """
        self.directory = Path(directory)
        self.analyses = analyses

    @rank_zero_only
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Analyse the detections and write."""
        compared = compared_in_test(trainer, pl_module)
        source = trainer.datamodule.annotation_file("test")  # type: ignore[attr-defined]
        told = f"{len(compared.task.images):,} images of {source}"
        told += {"bbox": "", "segm": ", by masks", "keypoints": ", by keypoints"}[
            compared.task.compared
        ]
        page = write_report(compared, self.analyses, self.directory, told)
        log.info("Where the detector fails: %s", page)
        _log_plots(trainer, self.directory / FOLDER)


def _log_plots(trainer: L.Trainer, folder: Path) -> None:
    """Show the plots in dashboards, too; the logger of the run's folder has them there."""
    loggers = [one for one in image_loggers(trainer) if not isinstance(one, ContinuingCSVLogger)]
    files = sorted(folder.glob("*.png"))
    if not (loggers and files):
        return
    plots = [
        LoggedImage(path.stem, np.asarray(Image.open(path).convert("RGB")), path.stem)
        for path in files
    ]
    for logger in loggers:
        logger.log_images("test/analysis", plots, current_step(trainer))


def report_callbacks(evaluation: DictConfig, directory: str | Path) -> list[L.Callback]:
    """Return what writes the report that `conf/evaluation` asks for, if it asks for one.

    Args:
        evaluation: the config's node, with `report` and `analyses`.
        directory: of the page.

    Raises:
        UserError: an analysis is none, or a setting of it is not of its kind.
    """
    if not evaluation.get("report"):
        return []
    nodes = evaluation.get("analyses") or {}
    analyses = {str(name): build(node) for name, node in nodes.items() if node is not None}
    for name, analysis in analyses.items():
        if not isinstance(analysis, Analysis):
            raise UserError(
                f"evaluation.analyses.{name} is no Analysis: give the _target_ of a class that "
                f"derives from {Analysis.__module__}.{Analysis.__qualname__}, or null."
            )
    return [AnalysisReport(directory, analyses)] if analyses else []


def compared_in_test(
    trainer: Any, module: L.LightningModule, ids: Collection[int] | None = None
) -> Compared:
    """Return the detections of a test that has ended beside its truth.

    Args:
        trainer: with the data.
        module: which was tested.
        ids: of the images to look at; all by default.
    """
    assert isinstance(module, EvaluationModule)
    found, data = module.found, trainer.datamodule
    assert found is not None
    if ids is not None:
        found = found.of_images(ids)
    pictures = Pictures(data.test_image, data.test_image_name)
    layout = None if found.keypoints is None else data.keypoints
    return Compared.of(data.ground_truth("test", **found.wanted), found, pictures, layout)
