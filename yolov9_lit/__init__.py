"""YOLOv9 as a research framework: GELAN detectors, PGI branches, Lightning, Hydra."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.inference.predictor import Predictor as Predictor, load as load
    from yolov9_lit.models.create import create_model as create_model
    from yolov9_lit.models.sizes import list_models as list_models
else:
    __getattr__, __dir__, __all__ = exports(__name__)

try:
    __version__ = version("yolov9-lit")
except PackageNotFoundError:  # a checkout on PYTHONPATH
    __version__ = "0+unknown"
