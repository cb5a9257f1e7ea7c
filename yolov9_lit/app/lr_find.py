"""`lr_find=true`: a trial of learning rates in a run's place, which leaves no run."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.app.batch_size import alone
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write
from yolov9_lit.reporting.plot import COLORS, make_axes, save_axes
from yolov9_lit.training import lr_range
from yolov9_lit.training.acceleration import Acceleration
from yolov9_lit.training.aux_schedule import AuxiliarySchedule
from yolov9_lit.training.lr_range import RateTrial, RateTried, RisingRate, suggested
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.trainer import build_trainer

log = logging.getLogger(__name__)

LEAST = 10
"""Updates that tell anything."""


def find_learning_rate(
    cfg: DictConfig, build_module: Callable[[DictConfig, Any], DetectionModule]
) -> float | None:
    """Train with a rising learning rate, on one device; write and tell what it did to the loss.

    Args:
        cfg: of the train command, its batch size a number.
        build_module: makes the module of a config and its data.

    Returns:
        The rate suggested; None where none taught anything.

    Raises:
        UserError: the loss is not finite from the start, or the training is to be continued.
    """
    if cfg.ckpt_path:
        raise UserError(
            "lr_find=true tries the start of a training: leave ckpt_path out, or give its weights "
            "as ckpt."
        )
    tried = _trial(cfg, build_module)
    if len(tried) < LEAST:
        raise UserError(
            f"lr_find=true: the loss diverged after {len(tried)} updates, with rates from "
            f"{lr_range.LOWEST:g} on: look at the data, the weights of ckpt and trainer.precision."
        )
    rate = suggested(tried)
    folder = Path(cfg.run_dir)
    _write(tried, rate, folder)
    if rate is None:
        log.warning("The loss fell at no rate up to %.2g: %s", tried[-1].rate, folder)
    else:
        log.info(
            "optimizer.lr=%.2g: there the loss falls most steeply, of rates from %.2g to %.2g; "
            "look at lr_find.png in %s before you take it",
            *(rate, tried[0].rate, tried[-1].rate, folder),
        )
    return rate


def _trial(
    cfg: DictConfig, build_module: Callable[[DictConfig, Any], DetectionModule]
) -> list[RateTried]:
    updates = lr_range.UPDATES
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = build(cfg.data)
    datamodule.setup("fit")
    # What is frozen at first stays so: the trial, of many short epochs, is of the start.
    own = OmegaConf.merge(cfg, {"optimizer": {"lr": 1.0}, "unfreeze_epoch": None})
    assert isinstance(own, DictConfig)
    module = build_module(own, datamodule)
    module.schedule = RisingRate(
        momentum=cfg.schedule.momentum, nominal_batch=cfg.schedule.nominal_batch, updates=updates
    )
    module.aux_schedule = AuxiliarySchedule()
    trial = RateTrial(updates)
    probe = build_trainer(cfg.trainer, [], logger=False)
    # Each update sees the same images: other ones would change the loss by more than the rate does.
    # The trial ends by itself, before the epochs without mosaic.
    same = {
        "overfit_batches": module.schedule.accumulation(module.batch_size),
        "max_epochs": module.schedule.nominal_batch * (updates + 1)
        + datamodule.close_mosaic_epochs,
        **{"max_time": None, "limit_val_batches": 0},
    }
    node = OmegaConf.merge(alone(cfg.trainer, probe.strategy.root_device), same)
    assert isinstance(node, DictConfig)
    trainer = build_trainer(node, [trial], logger=False)
    Acceleration(cfg.channels_last, cfg.compile, cfg.checkpointing).apply(
        module, trainer.strategy.root_device
    )
    log.info(
        "Trying %d updates, of rates from %g to %g", updates, lr_range.LOWEST, lr_range.HIGHEST
    )
    trainer.fit(module, datamodule)
    return trial.tried


def _write(tried: Sequence[RateTried], rate: float | None, folder: Path) -> None:
    """Write the trial as `lr_find.csv` and `lr_find.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "lr_find.csv") as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(RateTried._fields)
        writer.writerows(tried)
    (axes,) = make_axes("learning rate", "training loss")
    rates = [one.rate for one in tried]
    axes.set_xscale("log")
    axes.plot(rates, [one.loss for one in tried], color=COLORS[0], alpha=0.3, label="loss")
    axes.plot(rates, [one.smoothed for one in tried], color=COLORS[0], label="smoothed")
    if rate is not None:
        axes.axvline(rate, color=COLORS[1], ls="--", label=f"steepest fall, {rate:.2g}")
    # A loss that has diverged would flatten all that is of interest.
    low, high = min(one.loss for one in tried), tried[0].smoothed
    axes.set_ylim(low - 0.1 * abs(low), max(high, low) * lr_range.LOST / 2)
    axes.legend(frameon=False)
    save_axes(axes, folder / "lr_find.png", "The loss by learning rate.")
