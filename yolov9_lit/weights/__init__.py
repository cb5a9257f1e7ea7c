"""Checkpoints in and out: this project's, deployed ones and published ones."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.weights.card import ModelCard as ModelCard
    from yolov9_lit.weights.checkpoints import (
        load_detector as load_detector,
        read_checkpoint as read_checkpoint,
    )
    from yolov9_lit.weights.transfer import take_weights as take_weights
else:
    __getattr__, __dir__, __all__ = exports(__name__)
