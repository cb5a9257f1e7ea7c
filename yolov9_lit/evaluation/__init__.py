"""From raw outputs to metrics: non-maximum suppression and COCO's metrics.

Another metric is a `DetectionMetric`, named as `metric` by a file of `conf/evaluation`.
"""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.evaluation.coco_map import CocoMetric as CocoMetric
    from yolov9_lit.evaluation.extra import ExtraMetric as ExtraMetric
    from yolov9_lit.evaluation.metric import DetectionMetric as DetectionMetric
    from yolov9_lit.evaluation.nms import (
        NMSSettings as NMSSettings,
        non_max_suppression as non_max_suppression,
    )
else:
    __getattr__, __dir__, __all__ = exports(__name__)
