"""A run in its folder: what identifies it, its record, continuing it, sweeps and searches."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.runs.record import RunRecord as RunRecord
    from yolov9_lit.runs.resume import recorded as recorded
else:
    __getattr__, __dir__, __all__ = exports(__name__)
