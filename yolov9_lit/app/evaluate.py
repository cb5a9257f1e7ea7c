"""The 12 COCO figures of a checkpoint on a data set, by Lightning's test loop."""

from __future__ import annotations

import logging
from typing import Any

from omegaconf import DictConfig

from yolov9_lit.app.folders import require_data
from yolov9_lit.app.robustness import Rows, corruptions_of, measure, write_robustness
from yolov9_lit.app.settings import check_evaluation
from yolov9_lit.app.views import views_of
from yolov9_lit.building import build
from yolov9_lit.checks import folder_argument, path_argument
from yolov9_lit.data.datamodule import TruthOf
from yolov9_lit.data.keypoint_settings import KeypointsOfModel
from yolov9_lit.errors import UserError, counted, first_few
from yolov9_lit.evaluation.robustness import CLEAN
from yolov9_lit.inference.exported import ExportedPredictor
from yolov9_lit.inference.predictor import Predictor, load
from yolov9_lit.memory import keep_freed_memory
from yolov9_lit.runs.results import ResultsWriter
from yolov9_lit.training.callbacks.data_use import DataUse, log_used
from yolov9_lit.training.callbacks.images import PredictionImages
from yolov9_lit.training.callbacks.report import report_callbacks
from yolov9_lit.training.evaluation import PredictorEvaluation, ViewsEvaluation
from yolov9_lit.training.trainer import build_trainer

log = logging.getLogger(__name__)


def check_job(cfg: DictConfig) -> None:
    """Refuse what can be told of an evaluation before it begins.

    Raises:
        UserError: settings or data are not usable.
    """
    check_evaluation(cfg)
    require_data(cfg.data)


def evaluate(cfg: DictConfig) -> dict[str, float]:
    """Measure a checkpoint; leave results.json, detections.json, annotated images and a report.

    With corruptions, also what `write_robustness` writes.

    Raises:
        UserError: checkpoint and data do not fit.
    """
    check_job(cfg)
    ckpt, run_dir = path_argument("ckpt", cfg.ckpt), folder_argument("run_dir", cfg.run_dir)
    corruptions = corruptions_of(cfg)
    predictor = load(ckpt)
    if views := views_of(cfg):
        predictor.require_boxes_alone()
    rows = Rows(run_dir, cfg, ckpt) if corruptions.each else None
    card = predictor.card
    given: dict[str, Any] = {"image_size": predictor.input_size(cfg.data.image_size)}
    if predictor.input_shape:
        given["eval_shape"] = predictor.input_shape
    if card.keypoints:
        given["keypoints"] = {
            "_target_": f"{KeypointsOfModel.__module__}.{KeypointsOfModel.__qualname__}",
            "source": str(ckpt),
            **card.keypoints._asdict(),
        }
    datamodule = build(cfg.data, **given)
    datamodule.adopt(card.choice)
    datamodule.prepare_data()
    datamodule.setup("test")
    if tuple(datamodule.class_names) != card.class_names:
        ours, theirs = card.class_names, datamodule.class_names
        known = {*ours} <= {*theirs}
        remedy = (
            "name the first in data.classes" if known else "evaluate on data of the same classes"
        )
        raise UserError(
            f"{ckpt} knows {counted(len(ours), 'class')} ({first_few(ours)}) but the data in "
            f"{datamodule.root} has {len(theirs)} ({first_few(theirs)}): "
            f"{remedy}."
        )
    datamodule.corruption, datamodule.unscaled = corruptions.always, views is not None
    metric = build(cfg.evaluation.metric)(
        truth=TruthOf(datamodule, "test"),
        category_ids=[category.id for category in datamodule.categories],
    )
    measured = _measured_form(predictor, cfg.deploy, cfg.head)
    parts = (measured, build(cfg.evaluation.nms), metric)
    module = (
        ViewsEvaluation(*parts, views, given["image_size"])
        if views
        else PredictorEvaluation(*parts)
    )
    use = DataUse(str(datamodule.root), strict=datamodule.strict)
    callbacks = [
        use,
        ResultsWriter(run_dir, checkpoint=str(ckpt.resolve())),
        PredictionImages(run_dir / "predictions", count=cfg.pictures),
        *report_callbacks(cfg.evaluation, run_dir),
    ]
    keep_freed_memory()
    trainer = build_trainer(cfg.trainer, callbacks, logger=False)
    figures = rows.figures(CLEAN, 0) if rows else None
    if figures is None:
        trainer.test(module, datamodule, verbose=False)
        log_used(datamodule, use.by_split)
        figures = module.figures
        if rows:
            rows.add(CLEAN, 0, figures)
    if rows:
        robustness = measure(corruptions.each, rows, module, datamodule, cfg.trainer)
        write_robustness(robustness, run_dir, f"{ckpt} on {datamodule.annotation_file('test')}")
        figures = {**figures, **robustness.summary()}
    log.info("Everything of this run is in %s", run_dir)
    return figures


def _measured_form(
    predictor: Predictor | ExportedPredictor, deploy: bool, head: str | None
) -> Predictor | ExportedPredictor:
    if isinstance(predictor, ExportedPredictor) and predictor.file.record.nms:
        log.warning("COCO's metrics need all candidates: export with nms=false for them")
    if deploy or isinstance(predictor, ExportedPredictor):
        return predictor.deploy(head)
    return predictor.one_branch(head)
