"""Where a training's figures, settings and images go; what is continued there goes on."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.training.loggers.csv import ContinuingCSVLogger as ContinuingCSVLogger
    from yolov9_lit.training.loggers.images import (
        ImageLogger as ImageLogger,
        LoggedImage as LoggedImage,
    )
    from yolov9_lit.training.loggers.mlflow import mlflow_logger as mlflow_logger
    from yolov9_lit.training.loggers.tensorboard import tensorboard_logger as tensorboard_logger
    from yolov9_lit.training.loggers.wandb import wandb_logger as wandb_logger
else:
    __getattr__, __dir__, __all__ = exports(__name__)
