"""Detectors by name, for notebooks and configs alike: `create_model("yolov9_c", num_classes=3)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Annotated, Any, TypeVar

from torch import nn

from yolov9_lit.models import pgi as branches
from yolov9_lit.models.attention import AttentionBlock, TransformerBlock
from yolov9_lit.models.blocks import (
    BlockFactory,
    ConvBlock,
    CSPBlock,
    DarkBlock,
    DepthwiseBlock,
    ResBlock,
)
from yolov9_lit.models.detector import Detector, HeadFactory, gelan_detector
from yolov9_lit.models.gelan import Backbone, BackboneFactory, CompositeBackbone, GelanSpec
from yolov9_lit.models.head import Head
from yolov9_lit.models.layers import AConv, ADown
from yolov9_lit.models.pgi import AuxiliaryFactory
from yolov9_lit.models.pose import PoseHead
from yolov9_lit.models.segment import SegmentHead
from yolov9_lit.models.sizes import Size, size_of

BLOCKS: Mapping[str, type[nn.Module]] = {
    "csp": CSPBlock,
    "conv": ConvBlock,
    "res": ResBlock,
    "dark": DarkBlock,
    "dwconv": DepthwiseBlock,
    "attention": AttentionBlock,
    "transformer": TransformerBlock,
}
"""Computational blocks by the names of `conf/block`."""

PGI: Mapping[str, Mapping[str, AuxiliaryFactory]] = {
    "none": {},
    "pfh": {"pfh": branches.DeepSupervision},
    "fpn": {"fpn": branches.FeaturePyramid},
    "fpn_early": {"fpn": branches.FeaturePyramid},
    "fpn_late": {"fpn": branches.FeaturePyramid},
    "pan": {"pan": branches.PathAggregationBranch},
    "icn": {"icn": branches.IntegrativeNetwork},
    "icn_lite": {"icn": partial(branches.IntegrativeNetwork, width=0.5)},
    "icn_neck": {"icn_neck": branches.NeckIntegrativeNetwork},
    "fpn_icn": {"fpn": branches.FeaturePyramid, "icn_neck": branches.NeckIntegrativeNetwork},
    "lhg_icn": {"icn": branches.IntegrativeNetwork},
    "cf": {"icn": branches.IntegrativeNetwork, "fine": branches.SecondHead},
    "agm": {"agm": branches.AssignGuidance},
    "icn_distill": {"icn": branches.IntegrativeNetwork},
}
"""Auxiliary branches by the names of `conf/pgi`, where some set loss or schedule besides."""

TASKS: Mapping[str, Callable[..., Head]] = {
    "detect": Head,
    "segment": partial(SegmentHead, box_groups=1),
    "pose": PoseHead,
}
"""Heads by the names of `conf/task`; that of masks as `conf/prototypes/seg` lays it out."""

DOWNS: Mapping[str, type[nn.Module]] = {"AConv": AConv, "ADown": ADown}


def create_model(
    name: str,
    *,
    num_classes: int = 80,
    pgi: str | Mapping[str, AuxiliaryFactory] | None = None,
    task: str = "detect",
    block: str | BlockFactory = "csp",
    backbone: BackboneFactory | None = None,
    head: HeadFactory | None = None,
    **spec: Annotated[Any, GelanSpec],
) -> Detector:
    """Build a detector of a published size with fresh weights.

    Args:
        name: one of `list_models`.
        num_classes: C >= 1.
        pgi: name of an auxiliary branch (none, pfh, fpn, fpn_early, fpn_late, pan, icn, icn_lite,
            icn_neck, fpn_icn, lhg_icn, cf, agm, icn_distill), or factories by name; by default that
            of the model: none of gelan_*, the published one of yolov9_*. The network of lhg_icn and
            icn_distill is that of icn, the loss is told to guide it or to learn from it
            (`DetectionLoss(lead_head_guided=True)`, `distillation=Distillation("icn")`), as that of
            agm to be guided by it (`guide="agm"`); fpn_early and fpn_late are fpn, in a part of the
            training.
        task: what the heads find: detect (boxes and classes), segment (masks, too) or pose
            (keypoints, too).
        block: name of a computational block (csp, conv, res, dark, dwconv, attention, transformer),
            or a factory.
        backbone: factory in place of the size's.
        head: factory in place of the task's, e.g. of other prototypes or keypoints.
        **spec: other widths, depths and parts in place of the size's: the fields of `GelanSpec`.

    Raises:
        ValueError: a name is unknown, or a value is out of its range.
        TypeError: `spec` names no field of `GelanSpec`.
    """
    size = size_of(name)
    if pgi is None:
        pgi = size.pgi if name.startswith("yolov9") else "none"
    return gelan_detector(
        num_classes=num_classes,
        backbone=backbone or backbone_of(size),
        head=head
        or partial(_named("task", task, TASKS), class_width_factor=size.class_width_factor),
        pgi=_named("pgi", pgi, PGI) if isinstance(pgi, str) else pgi,
        **{**widths(size), "down": DOWNS[size.down], **spec},
        block=_named("block", block, BLOCKS) if isinstance(block, str) else block,
    )


def widths(size: Size) -> dict[str, Any]:
    """Return the plain fields that a size shares with `GelanSpec`: widths and depths."""
    own = {field.name for field in fields(Size)}
    shared = {field.name for field in fields(GelanSpec)} & own - {"down"}
    return {name: getattr(size, name) for name in sorted(shared)}


def backbone_of(size: Size) -> type[Backbone | CompositeBackbone]:
    """Return the class of a size's backbone."""
    return CompositeBackbone if size.composite else Backbone


Choice = TypeVar("Choice")


def _named(argument: str, name: str, known: Mapping[str, Choice]) -> Choice:
    if name not in known:
        raise ValueError(f"there is no {argument}={name!r}: choose from {', '.join(known)}")
    return known[name]
