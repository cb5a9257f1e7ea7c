"""Detection on images: predictors, exported files, images and videos to read."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.inference.exported import ExportedPredictor as ExportedPredictor
    from yolov9_lit.inference.images import ImagePredictor as ImagePredictor
    from yolov9_lit.inference.merging import (
        Merging as Merging,
        Suppression as Suppression,
        WeightedBoxesFusion as WeightedBoxesFusion,
    )
    from yolov9_lit.inference.predictor import Predictor as Predictor, load as load
    from yolov9_lit.inference.views import ScalesAndFlips as ScalesAndFlips, Tiles as Tiles
else:
    __getattr__, __dir__, __all__ = exports(__name__)
