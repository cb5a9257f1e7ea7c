"""Where a detector fails: analyses of its detections, each a class that `evaluation` names."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.evaluation.analysis.analysis import Analysis as Analysis
    from yolov9_lit.evaluation.analysis.compared import Compared as Compared
    from yolov9_lit.evaluation.analysis.report import write_report as write_report
    from yolov9_lit.reporting.page import Section as Section
else:
    __getattr__, __dir__, __all__ = exports(__name__)
