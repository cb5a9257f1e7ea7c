"""YOLOv9 as a research framework: GELAN detectors, PGI branches, Lightning, Hydra."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolov9_lit.inference.predictor import Predictor, load
    from yolov9_lit.models.create import create_model
    from yolov9_lit.models.sizes import list_models

try:
    __version__ = version("yolov9-lit")
except PackageNotFoundError:  # a checkout on PYTHONPATH
    __version__ = "0+unknown"

__all__ = ["Predictor", "create_model", "list_models", "load"]

_HOMES = {
    "Predictor": "inference.predictor",
    "create_model": "models.create",
    "list_models": "models.sizes",
    "load": "inference.predictor",
}


def __getattr__(name: str) -> Any:
    """Import a part of the Python API when it is first asked for: the commands start quickly."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(f"{__name__}.{_HOMES[name]}:{name}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
