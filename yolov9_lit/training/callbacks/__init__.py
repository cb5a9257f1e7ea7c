"""What a run shows and leaves behind."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.training.callbacks.epoch_cost import EpochCost as EpochCost
    from yolov9_lit.training.callbacks.images import PredictionImages as PredictionImages
    from yolov9_lit.training.callbacks.last import LastCheckpoint as LastCheckpoint
else:
    __getattr__, __dir__, __all__ = exports(__name__)
