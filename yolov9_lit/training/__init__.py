"""The Lightning side: module, optimiser groups, schedule, averaging and callbacks."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.training.ema import EMA as EMA
    from yolov9_lit.training.module import DetectionModule as DetectionModule
    from yolov9_lit.training.optimizers import OptimizerRecipe as OptimizerRecipe
    from yolov9_lit.training.schedules import WarmupDecay as WarmupDecay
else:
    __getattr__, __dir__, __all__ = exports(__name__)
