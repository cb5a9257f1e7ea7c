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
    from yolov9_lit.losses.ota import OTAAssigner as OTAAssigner
    from yolov9_lit.losses.pose import PoseLoss as PoseLoss
    from yolov9_lit.losses.segmentation import SegmentationLoss as SegmentationLoss
    from yolov9_lit.losses.yolov7 import YOLOv7Loss as YOLOv7Loss
else:
    __getattr__, __dir__, __all__ = exports(__name__)
