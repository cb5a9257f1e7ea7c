"""What the settings of a training and of an evaluation may be, where no constructor tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import lightning as L
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, open_dict

from yolov9_lit.building import check
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.metric import DetectionMetric
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.views import Views
from yolov9_lit.kinds import Count, InputSide, Limits, PathText, PositiveInt
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.models.detector import Detector
from yolov9_lit.training.aux_schedule import AuxiliarySchedule
from yolov9_lit.training.multi_scale import Factors
from yolov9_lit.training.optimizers import OptimizerRecipe
from yolov9_lit.training.schedules import WarmupDecay
from yolov9_lit.training.trainer import KINDS as TRAINER, check_trainer

SHARED: Mapping[str, Any] = {
    "seed": Annotated[int, Limits(0, 2**32 - 1)],
    "run_dir": PathText,
    "data": DetectionDataModule,
    "evaluation": Mapping,
    "evaluation.nms": NMSSettings,
    "evaluation.metric": DetectionMetric,
    "evaluation.report": bool,
    "evaluation.analyses": Mapping | None,
    "evaluation.analyses.*": Analysis | None,
    "trainer": L.Trainer,
    **{f"trainer.{key}": kind for key, kind in TRAINER.items()},
}

TRAINING: Mapping[str, Any] = {
    **SHARED,
    "sweep": str | None,
    "ckpt": PathText | None,
    "ckpt_path": PathText | None,
    "freeze": str | list[str] | None,
    "unfreeze_epoch": PositiveInt | None,
    "lr_find": bool,
    "test": bool,
    "objectives": list[str] | None,
    "channels_last": bool | None,
    "compile": Literal["off", "blocks", "whole"],
    "checkpointing": bool,
    "multi_scale": Factors | None,
    "data.batch_size": PositiveInt | Literal["auto"],
    "model": Detector,
    "model.num_classes": PositiveInt | None,
    "loss": DetectionLoss,
    "optimizer": OptimizerRecipe,
    "schedule": WarmupDecay,
    "aux_schedule": AuxiliarySchedule,
    "logger": Mapping | None,
    "logger.*": Logger | None,
    "callbacks": Mapping | None,
    "callbacks.*": L.Callback | None,
}

NEEDED = (
    *("data", "model", "loss", "optimizer", "schedule", "aux_schedule"),
    *("evaluation", "trainer"),
)
"""Config groups that a training cannot do without; `logger` and `callbacks` may be switched off."""

EVALUATION: Mapping[str, Any] = {
    **SHARED,
    "ckpt": PathText,
    "deploy": bool,
    "head": str | None,
    "pictures": Count,
    "views": Views | None,
    "data.image_size": InputSide | None,
}


def check_training(cfg: DictConfig) -> None:
    """Refuse what can be told of a training's settings before anything is read or built.

    Raises:
        UserError: a group is switched off, a value is not of its kind, or a file is not there.
    """
    _require(cfg, NEEDED)
    check(cfg, TRAINING)
    check_trainer(cfg.trainer)
    if cfg.unfreeze_epoch is not None:
        _check_unfreezing(cfg)
    if cfg.ckpt_path and not Path(cfg.ckpt_path).is_file():
        raise UserError(
            f"There is no checkpoint ckpt_path={cfg.ckpt_path}: give the last.ckpt of a run."
        )


def check_evaluation(cfg: DictConfig) -> None:
    """Refuse what can be told of an evaluation's settings before anything is read or built.

    Raises:
        UserError: a group is switched off, or a value is not of its kind.
    """
    _require(cfg, ("data", "evaluation", "trainer"))
    used = cfg.copy()
    with open_dict(used):
        used.pop("augment", None)  # It is of training, and its image_size may be null here.
    check(used, EVALUATION)
    check_trainer(cfg.trainer)


def _check_unfreezing(cfg: DictConfig) -> None:
    if not cfg.freeze:
        raise UserError(
            f"unfreeze_epoch={cfg.unfreeze_epoch} has nothing to release: give the parts as "
            "freeze, or leave it out."
        )
    if cfg.unfreeze_epoch >= cfg.trainer.max_epochs:
        raise UserError(
            f"unfreeze_epoch={cfg.unfreeze_epoch} leaves no epoch after it of trainer.max_epochs="
            f"{cfg.trainer.max_epochs}: give a smaller number, or leave it out."
        )


def _require(cfg: DictConfig, groups: Sequence[str]) -> None:
    for name in groups:
        if not cfg.get(name):
            raise UserError(f"{name} is switched off: choose an option, --help lists them.")
