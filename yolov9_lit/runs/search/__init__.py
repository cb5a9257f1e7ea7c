"""Architecture search: accuracy against cost, with Optuna."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.runs.search.pruner import ParetoPruner as ParetoPruner
    from yolov9_lit.runs.search.start import SearchSettings as SearchSettings
    from yolov9_lit.runs.search.start import run_search as run_search
else:
    __getattr__, __dir__, __all__ = exports(__name__)
