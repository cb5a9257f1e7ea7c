"""Target assignment and the detection loss: plain torch, no loop over images or objects."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.losses.assigners import Assigner as Assigner
    from yolov9_lit.losses.assigners import Assignment as Assignment
    from yolov9_lit.losses.assigners import TaskAlignedAssigner as TaskAlignedAssigner
    from yolov9_lit.losses.boxes import complete_iou as complete_iou
    from yolov9_lit.losses.detection import DetectionLoss as DetectionLoss
    from yolov9_lit.losses.detection import DetectionLossOutput as DetectionLossOutput
    from yolov9_lit.losses.detection import LossItems as LossItems
else:
    __getattr__, __dir__, __all__ = exports(__name__)
