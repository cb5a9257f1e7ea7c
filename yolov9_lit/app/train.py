"""One training from its config: build, fit, test; in a sweep, in a process of its own."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.building import build
from yolov9_lit.checks import path_argument
from yolov9_lit.data.datamodule import TruthOf
from yolov9_lit.errors import UserError
from yolov9_lit.runs.record import Result
from yolov9_lit.runs.resume import recorded
from yolov9_lit.runs.search.trial import objective_values
from yolov9_lit.runs.sweeps import run_apart
from yolov9_lit.training.callbacks.data_use import DataUse, log_used
from yolov9_lit.training.callbacks.epoch_log import EpochLog
from yolov9_lit.training.checkpointing import AtomicCheckpointIO
from yolov9_lit.training.freezing import freeze
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.trainer import build_parts, build_trainer
from yolov9_lit.weights.card import ModelCard, spelled_out
from yolov9_lit.weights.checkpoints import build_detector
from yolov9_lit.weights.transfer import adopt_structure, take_weights

log = logging.getLogger(__name__)

NEEDED = ("data", "model", "loss", "optimizer", "schedule", "evaluation", "trainer")
"""Config groups that a training cannot do without; `logger` and `callbacks` may be switched off."""


def run_training(cfg: DictConfig) -> dict[str, float] | tuple[float, ...]:
    """Run one training, or one job of a sweep, unless its folder has its result already.

    Returns:
        The test figures by name; in a search, the values of `cfg.objectives`.

    Raises:
        UserError: data, model, checkpoint or run folder do not fit the config.
    """
    for name in NEEDED:
        if not cfg.get(name):
            raise UserError(f"{name} is switched off: choose an option, --help lists them.")
    for name in ("ckpt", "ckpt_path"):
        if cfg[name]:
            path_argument(name, cfg[name])
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        figures = run_apart(cfg).figures
    else:
        adopt_structure(cfg)
        figures = recorded(cfg, train).figures
    if cfg.objectives:
        return objective_values(cfg.objectives, figures, cfg.run_dir)
    return figures


def train(cfg: DictConfig) -> Result:
    """Train, validate after each epoch and test the best checkpoint.

    Raises:
        UserError: data, model or checkpoint do not fit.
    """
    if cfg.ckpt_path and not Path(cfg.ckpt_path).is_file():
        raise UserError(f"There is no checkpoint {cfg.ckpt_path} to resume (ckpt_path).")
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = build(cfg.data)
    datamodule.prepare_data()
    datamodule.setup("fit")
    module = build_module(cfg, datamodule)
    epoch_log = EpochLog()
    use = DataUse(str(datamodule.root), strict=datamodule.strict)
    trainer = _make_trainer(cfg, [epoch_log, use])
    trainer.fit(module, datamodule, ckpt_path=cfg.ckpt_path)
    # Taken before the test, which sets the callbacks back to the state of the best checkpoint.
    costs = (trainer.current_epoch, epoch_log.seconds_per_epoch, epoch_log.peak_mb)
    if cfg.test:
        # The best checkpoint; without validation the last one; without either, the weights at hand.
        kept = [getattr(c, "best_model_path", "") for c in trainer.checkpoint_callbacks]
        trainer.test(module, datamodule, ckpt_path=next(filter(None, kept), None), verbose=False)
    data = log_used(datamodule, use.by_split)
    log.info("Everything of this run is in %s", cfg.run_dir)
    truth = str(datamodule.annotation_file("test").resolve())
    return Result(module.figures, module.cost.figures(), *costs, data, truth)


def build_module(cfg: DictConfig, datamodule: Any) -> DetectionModule:
    """Build the module that trains the configured detector on the data.

    Raises:
        UserError: model or checkpoint do not fit the data.
    """
    card = make_card(cfg.model, datamodule)
    detector = build_detector(card)
    if cfg.ckpt and not cfg.ckpt_path:  # A training that is continued has its own weights.
        take_weights(detector, cfg.ckpt, card.class_names)
    freeze(detector, cfg.freeze)
    metric = partial(build(cfg.evaluation.metric), category_ids=card.category_ids)
    return DetectionModule(
        detector=detector,
        loss=build(cfg.loss),
        optimizer=build(cfg.optimizer),
        schedule=build(cfg.schedule),
        batch_size=datamodule.batches.batch_size,
        nms=build(cfg.evaluation.nms),
        val_metric=metric(truth=TruthOf(datamodule, "val")),
        test_metric=metric(truth=TruthOf(datamodule, "test")),
        card=card.to_dict(),
    )


def _make_trainer(cfg: DictConfig, callbacks: list[L.Callback]) -> L.Trainer:
    """Build the trainer with the configured callbacks, then the given ones; log the config."""
    trainer = build_trainer(
        cfg.trainer,
        callbacks=[*build_parts(cfg.get("callbacks")), *callbacks],
        logger=build_parts(cfg.get("logger")),
        plugins=[AtomicCheckpointIO()],
    )
    for logger in trainer.loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    return trainer


def make_card(model: DictConfig, datamodule: Any) -> ModelCard:
    """Return the card of the model that fits the data.

    Raises:
        UserError: `model.num_classes` is set and is not the data's.
    """
    classes = datamodule.num_classes
    if model.num_classes not in (None, classes):
        raise UserError(
            f"model.num_classes is {model.num_classes} but the data in {datamodule.root} has "
            f"{classes} classes: leave model.num_classes out."
        )
    config = OmegaConf.to_container(model, resolve=True)
    assert isinstance(config, dict)
    return ModelCard(
        model=spelled_out(config) | {"num_classes": classes},
        class_names=tuple(datamodule.class_names),
        category_ids=tuple(c.id for c in datamodule.categories),
        image_size=datamodule.batches.image_size,
    )
