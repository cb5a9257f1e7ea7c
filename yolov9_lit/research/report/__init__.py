"""Run folders as a table beside the paper's: read, pool, compare, write."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.research.report.runs import read_runs as read_runs
    from yolov9_lit.research.report.write import write_report as write_report
else:
    __getattr__, __dir__, __all__ = exports(__name__)
