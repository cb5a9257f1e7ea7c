"""The paper's figures, and diagrams of the models."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.research.figures.pgi import write_pgi_page as write_pgi_page
else:
    __getattr__, __dir__, __all__ = exports(__name__)
