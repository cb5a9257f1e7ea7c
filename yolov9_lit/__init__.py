"""YOLOv9 as a research framework: GELAN detectors, PGI branches, Lightning, Hydra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolov9_lit.inference.predictor import Predictor, load

__version__ = "0.1.0"
__all__ = ["Predictor", "load"]


def __getattr__(name: str) -> Any:
    """Import the Python API when first asked for, so that the commands start quickly."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from yolov9_lit.inference import predictor

    return getattr(predictor, name)
