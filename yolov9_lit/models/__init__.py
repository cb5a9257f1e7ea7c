"""GELAN detectors with pluggable PGI branches: plain torch modules that take plain arguments."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.models.blocks import ConvBlock as ConvBlock, CSPBlock as CSPBlock
    from yolov9_lit.models.cost import detector_cost as detector_cost
    from yolov9_lit.models.detector import Detector as Detector
    from yolov9_lit.models.gelan import GelanSpec as GelanSpec
    from yolov9_lit.models.head import Head as Head
    from yolov9_lit.models.layers import (
        AConv as AConv,
        ADown as ADown,
        Conv as Conv,
        RepConv as RepConv,
    )
else:
    __getattr__, __dir__, __all__ = exports(__name__)
