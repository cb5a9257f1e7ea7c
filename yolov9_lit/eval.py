"""Command: the 12 COCO figures of a checkpoint on a data set."""

from __future__ import annotations

import logging
from pathlib import Path

import lightning as L
from omegaconf import DictConfig

from yolov9_lit.cli import command
from yolov9_lit.configs import build
from yolov9_lit.errors import UserError
from yolov9_lit.interop.predictor import load
from yolov9_lit.models.detector import Detector
from yolov9_lit.training.callbacks.pictures import PredictionPictures
from yolov9_lit.training.callbacks.results import ResultsWriter
from yolov9_lit.training.callbacks.skipped import SkippedPictures, log_used
from yolov9_lit.training.evaluation import EvaluationModule

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig) -> dict[str, float]:
    """Measure a checkpoint; leaves results.json, detections.json and pictures.

    Raises:
        UserError: checkpoint and data do not fit.
    """
    predictor = load(cfg.ckpt)
    card = predictor.card
    datamodule = build(cfg.data, image_size=cfg.data.image_size or card.image_size)
    datamodule.prepare_data()
    datamodule.setup("test")
    if tuple(datamodule.class_names) != card.class_names:
        raise UserError(
            f"{cfg.ckpt} knows {len(card.class_names)} classes ({_some(card.class_names)}) but the "
            f"data in {datamodule.root} has {datamodule.num_classes} "
            f"({_some(datamodule.class_names)}): evaluate on data of the same classes."
        )
    metric = build(cfg.evaluation.metric)(
        annotation_file=datamodule.test_annotation_file,
        category_ids=[category.id for category in datamodule.categories],
    )
    detector = _measured_form(predictor.detector, cfg.deploy, cfg.second_head)
    module = EvaluationModule(detector, build(cfg.evaluation.nms), metric)
    skipped = SkippedPictures(str(datamodule.root), strict=datamodule.strict)
    callbacks = [
        skipped,
        ResultsWriter(cfg.run_dir, checkpoint=str(Path(cfg.ckpt).resolve())),
        PredictionPictures(Path(cfg.run_dir) / "predictions", count=cfg.pictures),
    ]
    trainer: L.Trainer = build(cfg.trainer, callbacks=callbacks, logger=False)
    trainer.test(module, datamodule, verbose=False)
    for split, used in datamodule.used(skipped.by_split).items():
        log_used(split, used)
    log.info("Everything of this run is in %s", cfg.run_dir)
    return module.result.figures() if module.result else {}


def _measured_form(detector: Detector, deploy: bool, second_head: str | None) -> Detector:
    try:
        return (detector.deploy if deploy else detector.without_auxiliary)(second_head)
    except ValueError as error:
        raise UserError(f"second_head={second_head}: {error}.") from error


def _some(names: tuple[str, ...], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@command("eval")
def main(cfg: DictConfig) -> dict[str, float]:
    """Evaluate."""
    return evaluate(cfg)


if __name__ == "__main__":
    main()
