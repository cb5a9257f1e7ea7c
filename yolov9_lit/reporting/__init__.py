"""How anything is shown: tables, plots, pages, drawings on images."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.reporting.draw import draw_detections as draw_detections
    from yolov9_lit.reporting.page import make_page as make_page
    from yolov9_lit.reporting.plot import Plot as Plot
    from yolov9_lit.reporting.table import Cell as Cell, Table as Table
else:
    __getattr__, __dir__, __all__ = exports(__name__)
