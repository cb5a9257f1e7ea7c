"""One training from its config: build, fit, test; in a sweep, in a process of its own."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.app.batch_size import settle_batch_size
from yolov9_lit.app.folders import require_data
from yolov9_lit.app.lr_find import find_learning_rate
from yolov9_lit.app.model_card import make_card
from yolov9_lit.app.settings import check_training
from yolov9_lit.building import build, refusal
from yolov9_lit.data.datamodule import TruthOf
from yolov9_lit.errors import UserError
from yolov9_lit.models.timm import load_pretrained
from yolov9_lit.runs.description import Description
from yolov9_lit.runs.record import Result
from yolov9_lit.runs.resume import recorded
from yolov9_lit.runs.search.trial import objective_values
from yolov9_lit.runs.sweeps import run_apart
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.training.acceleration import Acceleration
from yolov9_lit.training.callbacks.data_use import DataUse, log_used
from yolov9_lit.training.callbacks.epoch_log import EpochLog
from yolov9_lit.training.callbacks.report import report_callbacks
from yolov9_lit.training.checkpointing import AtomicCheckpointIO
from yolov9_lit.training.freezing import FrozenAtFirst, freeze
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.multi_scale import MultiScale
from yolov9_lit.training.time_limit import is_time_up
from yolov9_lit.training.trainer import build_parts, build_trainer, expect_unused_parameters
from yolov9_lit.weights.checkpoints import build_detector
from yolov9_lit.weights.structure import adopt_structure
from yolov9_lit.weights.transfer import read_trainable, take_weights

log = logging.getLogger(__name__)


def run_training(cfg: DictConfig) -> dict[str, float] | tuple[float, ...] | None:
    """Run one training, or one job of a sweep, unless its folder has its result already.

    Returns:
        The test figures by name; in a search, the values of `cfg.objectives`; None where learning
        rates were tried instead.

    Raises:
        UserError: data, model, checkpoint or run folder do not fit the config.
    """
    if cfg.lr_find:
        _try_learning_rates(cfg)
        return None
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        figures = run_apart(cfg, check_training).figures
    else:
        check_job(cfg)
        figures = recorded(cfg, _train, _settle).figures
    if cfg.objectives:
        return objective_values(cfg.objectives, figures, cfg.run_dir)
    return figures


def _try_learning_rates(cfg: DictConfig) -> None:
    """Try them in place of a run.

    Raises:
        UserError: in a sweep, whose jobs are runs; or the config does not fit.
    """
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise UserError("lr_find=true is no job of a sweep: leave out -m, or lr_find.")
    check_job(cfg)
    _settle(cfg)
    _rehearse(cfg)
    find_learning_rate(cfg, build_module)


def check_job(cfg: DictConfig) -> None:
    """Refuse what can be told of a run before it begins.

    Raises:
        UserError: settings, data or checkpoint are not usable.
    """
    adopt_structure(cfg)
    check_training(cfg)
    require_data(cfg.data)


def train(cfg: DictConfig) -> Result:
    """Train, validate after each epoch and test the best checkpoint.

    Raises:
        UserError: settings, data, model or checkpoint do not fit.
    """
    check_training(cfg)
    _settle(cfg)
    return _train(cfg)


def _settle(cfg: DictConfig) -> None:
    settle_batch_size(cfg, build_module)


def _train(cfg: DictConfig) -> Result:
    datamodule = build(cfg.data)
    epoch_log = EpochLog()
    use = DataUse(str(datamodule.root), strict=datamodule.strict)
    # Without callbacks a run leaves nothing that is not needed.
    report = report_callbacks(cfg.evaluation, cfg.run_dir) if cfg.get("callbacks") else []
    trainer = _make_trainer(cfg, [epoch_log, use, *report])
    _rehearse(cfg)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule.prepare_data()
    datamodule.setup("fit")
    module = build_module(cfg, datamodule)
    _log_settings(cfg, trainer, module)
    if cfg.ckpt and cfg.ckpt_path:
        log.warning("ckpt=%s is not used: the training goes on from ckpt_path", cfg.ckpt)
    make_acceleration(cfg).apply(module, trainer.strategy.root_device)
    trainer.fit(module, datamodule, ckpt_path=cfg.ckpt_path)
    time_up = is_time_up(trainer)
    if not (epoch_log.begun or time_up):
        log.warning(
            "No epoch was left to train of trainer.max_epochs=%d: a higher number trains on",
            trainer.max_epochs,
        )
    elif not (trainer.interrupted or time_up) and trainer.current_epoch < (trainer.max_epochs or 0):
        early = [c.monitor for c in trainer.early_stopping_callbacks if c.stopping_reason_message]
        log.info(
            "The training ended in epoch %d of the %d that its learning rate and mosaic follow%s",
            trainer.current_epoch,
            trainer.max_epochs,
            f" (early stopping by {', '.join(early)})" if early else "",
        )
    # Taken before the test, which sets the callbacks back to the state of the best checkpoint.
    costs = (trainer.current_epoch, epoch_log.seconds_per_epoch, epoch_log.peak_mb)
    if cfg.test:
        # The best checkpoint; without validation the last one; without either, the weights at hand.
        kept = [getattr(c, "best_model_path", "") for c in trainer.checkpoint_callbacks]
        trainer.test(module, datamodule, ckpt_path=next(filter(None, kept), None), verbose=False)
    data = log_used(datamodule, use.by_split)
    log.info("Everything of this run is in %s", cfg.run_dir)
    truth = str(datamodule.annotation_file("test").resolve())
    limit = cfg.trainer.max_time if time_up else None
    return Result(module.figures, module.cost.figures(), *costs, data, truth, limit)


def build_module(cfg: DictConfig, datamodule: Any) -> DetectionModule:
    """Build the module that trains the configured detector on the data.

    Raises:
        UserError: model or checkpoint do not fit the data.
    """
    card = make_card(cfg.model, datamodule)
    detector = build_detector(card)
    if cfg.ckpt and not cfg.ckpt_path:  # A training that is continued has its own weights.
        names = card.keypoints.names if card.keypoints else ()
        take_weights(detector, cfg.ckpt, card.class_names, names)
    elif not cfg.ckpt_path:
        load_pretrained(detector)
    if cfg.unfreeze_epoch is None:
        freeze(detector, cfg.freeze)
    metric = partial(build(cfg.evaluation.metric), category_ids=card.category_ids)
    return DetectionModule(
        detector=detector,
        loss=_loss(cfg.loss, card.keypoints),
        optimizer=build(cfg.optimizer),
        schedule=build(cfg.schedule),
        batch_size=datamodule.batches.batch_size,
        nms=build(cfg.evaluation.nms),
        val_metric=metric(truth=TruthOf(datamodule, "val")),
        test_metric=metric(truth=TruthOf(datamodule, "test")),
        card=card.to_dict(),
        aux_schedule=build(cfg.aux_schedule),
        multi_scale=make_multi_scale(cfg),
        frozen_at_first=(
            None if cfg.unfreeze_epoch is None else FrozenAtFirst(cfg.freeze, cfg.unfreeze_epoch)
        ),
    )


def _loss(cfg: DictConfig, keypoints: KeypointLayout | None) -> Any:
    """Build the loss, with the sigmas of the data's keypoints where there are such.

    Raises:
        UserError: it compares no keypoints, or those of another number.
    """
    if keypoints is None:
        return build(cfg)
    if "sigmas" not in cfg:
        raise UserError("The loss compares no keypoints: give loss=pose, or task=detect.")
    sigmas, count = cfg.sigmas or keypoints.sigmas, len(keypoints.names)
    if len(sigmas) != count:
        raise UserError(
            f"loss.sigmas has {len(sigmas)} entries, but the data has {count} keypoints: give one "
            "for each, or leave it out."
        )
    return build(cfg, sigmas=sigmas)


def _rehearse(cfg: DictConfig) -> None:
    """Build, without memory for weights, all that the data are not needed for.

    Raises:
        UserError: a constructor refuses a value, or no training can start from `ckpt`.
    """
    if cfg.ckpt and not cfg.ckpt_path:
        read_trainable(cfg.ckpt)
    make_acceleration(cfg)
    make_multi_scale(cfg)
    with torch.device("meta"):  # first: an assigner that does not fit a branch says less
        detector = build(cfg.model, num_classes=cfg.model.num_classes or 1)
    build(cfg.loss).require_compared(detector.head.finds)
    for part in (cfg.schedule, cfg.aux_schedule, cfg.evaluation.nms, cfg.evaluation.metric):
        build(part)
    freeze(detector, cfg.freeze)
    try:
        build(cfg.optimizer).build(detector)
    except (ValueError, TypeError) as error:
        raise UserError(f"{refusal(cfg.optimizer.factory, error)}.") from error


def make_acceleration(cfg: DictConfig) -> Acceleration:
    """Return how the steps of a training are to be computed.

    Raises:
        UserError: two of its settings exclude each other.
    """
    try:
        return Acceleration(cfg.channels_last, cfg.compile, cfg.checkpointing)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def make_multi_scale(cfg: DictConfig) -> MultiScale | None:
    """Return which sizes the batches of a training are to have; None for their own.

    Raises:
        UserError: steps are to be compiled, which is done for one size.
    """
    if cfg.multi_scale is None:
        return None
    if cfg.compile != "off":
        raise UserError(
            f"multi_scale and compile={cfg.compile} do not go together, as each size would be "
            "compiled by itself: leave one of them out."
        )
    low, high = cfg.multi_scale
    return MultiScale((low, high), cfg.seed)


def _make_trainer(cfg: DictConfig, callbacks: list[L.Callback]) -> L.Trainer:
    """Build the trainer with the configured callbacks, then the given ones."""
    trainer = build_trainer(
        cfg.trainer,
        callbacks=[*build_parts(cfg.get("callbacks")), *callbacks],
        logger=build_parts(cfg.get("logger")),
        plugins=[AtomicCheckpointIO()],
    )
    sometimes = cfg.model.get("pgi") and not build(cfg.aux_schedule).always
    if sometimes or cfg.unfreeze_epoch is not None:
        expect_unused_parameters(trainer)
    return trainer


def _log_settings(cfg: DictConfig, trainer: L.Trainer, module: DetectionModule) -> None:
    """Give the loggers the settings that tell runs apart, and the whole config in one entry."""
    if not trainer.loggers:
        return
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    settings = Description.of(cfg, choices, module.cost).known()
    for logger in trainer.loggers:
        logger.log_hyperparams(settings | {"config": OmegaConf.to_container(cfg, resolve=True)})
