"""GELAN detectors with pluggable PGI branches: plain torch modules that take plain arguments."""

from typing import TYPE_CHECKING

from yolov9_lit.lazy import exports

if TYPE_CHECKING:
    from yolov9_lit.models.attention import AttentionBlock as AttentionBlock
    from yolov9_lit.models.attention import TransformerBlock as TransformerBlock
    from yolov9_lit.models.blocks import ConvBlock as ConvBlock
    from yolov9_lit.models.blocks import CSPBlock as CSPBlock
    from yolov9_lit.models.blocks import DarkBlock as DarkBlock
    from yolov9_lit.models.blocks import DepthwiseBlock as DepthwiseBlock
    from yolov9_lit.models.blocks import ResBlock as ResBlock
    from yolov9_lit.models.cost import count_parameters as count_parameters
    from yolov9_lit.models.cost import detector_cost as detector_cost
    from yolov9_lit.models.detector import Detector as Detector
    from yolov9_lit.models.head import Head as Head
    from yolov9_lit.models.layers import SPPELAN as SPPELAN
    from yolov9_lit.models.layers import AConv as AConv
    from yolov9_lit.models.layers import ADown as ADown
    from yolov9_lit.models.layers import CBLinear as CBLinear
    from yolov9_lit.models.layers import Conv as Conv
    from yolov9_lit.models.layers import RepConv as RepConv
    from yolov9_lit.models.pgi import DeepSupervision as DeepSupervision
    from yolov9_lit.models.pgi import FeaturePyramid as FeaturePyramid
    from yolov9_lit.models.pgi import IntegrativeNetwork as IntegrativeNetwork
    from yolov9_lit.models.pgi import NeckIntegrativeNetwork as NeckIntegrativeNetwork
    from yolov9_lit.models.pgi import PathAggregationBranch as PathAggregationBranch
    from yolov9_lit.models.pgi import SecondHead as SecondHead
else:
    __getattr__, __dir__, __all__ = exports(__name__)
