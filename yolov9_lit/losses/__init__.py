"""Target assignment and the detection loss: plain torch, no loop over images or single objects."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.losses.assigners import (
        Assignment as Assignment,
        TaskAlignedAssigner as TaskAlignedAssigner,
    )
    from yolov9_lit.losses.detection import DetectionLoss as DetectionLoss
    from yolov9_lit.losses.distillation import Distillation as Distillation
    from yolov9_lit.losses.extra import ExtraLoss as ExtraLoss
    from yolov9_lit.losses.pose import PoseLoss as PoseLoss
    from yolov9_lit.losses.segmentation import SegmentationLoss as SegmentationLoss
else:
    __getattr__, __dir__, __all__ = exports(__name__)
