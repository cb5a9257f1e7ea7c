"""How other projects name and order the tensors of the models that we share with them.

All of them number a model's layers in one list, some of which hold no tensor (concatenations,
up-sampling) and differ between projects. So layers are told by rank among those with tensors:
`layers` gives the parts of a detector in that order, `renamed` the names inside a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from yolov9_lit.models.anchor_head import AnchorHead
from yolov9_lit.models.blocks import CSPBlock, Residual
from yolov9_lit.models.detector import Detector
from yolov9_lit.models.gelan import (
    DHLC,
    Column,
    CompositeBackbone,
    GELANStage,
    PathAggregation,
    TopDown,
)
from yolov9_lit.models.head import Head
from yolov9_lit.models.layers import SPPELAN, AConv, ADown, Conv, RepConv
from yolov9_lit.models.prototypes import StagePrototypes, UpsampledPrototypes
from yolov9_lit.models.segment import SegmentHead
from yolov9_lit.models.yolov7 import SPPCSP, YOLOv7Backbone, YOLOv7Neck

ChildNames = Mapping[type[nn.Module], Mapping[str, str]]
"""By class, its children that hold tensors: our name (a path) to theirs."""

CONVOLUTIONS: ChildNames = {
    Conv: {"conv.0": "conv", "conv.1": "bn"},
    RepConv: {"conv3.0": "conv1.conv", "conv3.1": "conv1.bn"}
    | {"conv1.0": "conv2.conv", "conv1.1": "conv2.bn"},
}
PUBLISHED_NAMES: ChildNames = {
    **CONVOLUTIONS,
    AConv: {"conv": "cv1"},
    ADown: {"conv3": "cv1", "conv1": "cv2"},
    SPPELAN: {"reduce": "cv1", "expand": "cv5"},
    GELANStage: {"split": "cv1", "branches.0": "cv2", "branches.1": "cv3", "merge": "cv4"},
    CSPBlock: {"main": "cv1", "shortcut": "cv2", "merge": "cv3", "bottlenecks": "m"},
    Residual: {"layers.0": "cv1", "layers.1": "cv2"},
    UpsampledPrototypes: {"0": "cv1", "2": "cv2", "3": "cv3"},
}
YOLO_MIT_NAMES: ChildNames = {
    **CONVOLUTIONS,
    ADown: {"conv3": "conv1", "conv1": "conv2"},
    SPPELAN: {"reduce": "conv1", "expand": "conv5"},
    GELANStage: {"split": "conv1", "branches.0": "conv2", "branches.1": "conv3", "merge": "conv4"},
    CSPBlock: {"main": "conv1", "shortcut": "conv2", "merge": "conv3", "bottlenecks": "bottleneck"},
    Residual: {"layers.0": "conv1", "layers.1": "conv2"},
    Head: {f"box.{level}": f"heads.{level}.anchor_conv" for level in range(3)}
    | {f"cls.{level}": f"heads.{level}.class_conv" for level in range(3)},
}
YOLOV7_NAMES: ChildNames = {
    Conv: CONVOLUTIONS[Conv],
    RepConv: {"conv3": "rbr_dense", "conv1": "rbr_1x1"},
    SPPCSP: {"shortcut": "cv2", "merge": "cv7"}
    | {"before.0": "cv1", "before.1": "cv3", "before.2": "cv4", "after.0": "cv5", "after.1": "cv6"},
    AnchorHead: {f"levels.{level}.conv": f"m.{level}" for level in range(3)}
    | {f"levels.{level}.add": f"ia.{level}" for level in range(3)}
    | {f"levels.{level}.multiply": f"im.{level}" for level in range(3)},
}


def _inside(part: str, layers: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{part}.{layer}" for layer in layers)


_ELAN = ("projections.0", "projections.1", *(f"chain.{i}" for i in range(4)), "merge")
_POOLED_DOWN = ("pooled.1", "strided.0", "strided.1")
_YOLOV7_BACKBONE = (
    *_inside("levels.0", ("0", "1", "2")),
    *("levels.1.0", *_inside("levels.1.1", _ELAN)),
    *(
        layer
        for level in ("levels.2", "levels.3", "levels.4")
        for layer in (*_inside(f"{level}.0", _POOLED_DOWN), *_inside(f"{level}.1", _ELAN))
    ),
)
_YOLOV7_NECK = (
    *("spp", "up4", "lateral4", *_inside("n4", _ELAN)),
    *("up3", "lateral3", *_inside("n3", _ELAN)),
    *(*_inside("down4", _POOLED_DOWN), *_inside("p4", _ELAN)),
    *(*_inside("down5", _POOLED_DOWN), *_inside("p5", _ELAN)),
    *_inside("outputs", ("0", "1", "2")),
)

PARTS: Mapping[type[nn.Module], tuple[str, ...]] = {
    Column: (
        *("downs.0", "downs.1", "stages.1"),
        *("downs.2", "stages.2", "downs.3", "stages.3", "downs.4", "stages.4"),
    ),
    DHLC: tuple(f"linears.{level}" for level in range(1, 6)),
    TopDown: ("spp", "n4", "n3"),
    PathAggregation: ("top_down.spp", "top_down.n4", "top_down.n3", "down4", "p4", "down5", "p5"),
    YOLOv7Backbone: _YOLOV7_BACKBONE,
    YOLOv7Neck: _YOLOV7_NECK,
}
"""By class, the layers it is made of, in every project's order."""

AUXILIARY = ("aux_branches.fpn.fpn", "aux_branches.icn.links", "aux_branches.icn.column")
AUXILIARY_HEADS = ("aux_heads.fpn", "aux_heads.icn")
COMPOSITE = ("backbone.first", "backbone.links", "backbone.second")


class Layer(NamedTuple):
    """The parts of one layer: (our path in the detector, their prefix in the layer)."""

    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layout:
    """One project's names and order.

    Attributes:
        title: the project, for messages.
        names: inside a layer.
        single: parts of a detector of one backbone column, in order.
        composite: of one with two (E).
        heads_joined: the last layer holds all heads, auxiliary ones first, as cv2, cv3, ...
        head_names: the first level's box and class branch in the last layer.
        fixed: names in a layer of what is no weight: DFL's projection, the sizes of anchors.
        mark: beginning of a name in the last layer that no other project has; "" of none.
    """

    title: str
    names: ChildNames
    single: tuple[str, ...]
    composite: tuple[str, ...]
    heads_joined: bool
    head_names: tuple[str, str]
    fixed: tuple[str, ...]
    mark: str = ""

    def layers(self, detector: Detector) -> list[Layer]:
        """List the detector's layers that hold tensors, in the project's order."""
        composite = isinstance(detector.backbone, CompositeBackbone)
        found = dict(detector.named_modules())
        layers = [
            Layer(((f"{path}.{part}" if part else path, ""),))
            for path in (self.composite if composite else self.single)
            if path in found
            for part in PARTS.get(type(found[path]), ("",))  # a head is one layer
            if not part or f"{path}.{part}" in found  # links may begin at level 3
        ]
        if self.heads_joined:
            heads = [path for path in (*AUXILIARY_HEADS, "head") if path in found]
            masks = [path for path in heads if isinstance(found[path], SegmentHead)]
            layers += [
                Layer(((f"{path}.prototypes.{part}", ""),))
                for path in masks
                if isinstance(found[f"{path}.prototypes"], StagePrototypes)
                for part in ("stage", "smooth")
            ]
            layers.append(Layer((*_branches(heads), *_masks(masks, found))))
        return layers

    def tensors(self, detector: Detector) -> Iterator[tuple[int, str, str]]:
        """Every tensor: rank of its layer, their name inside the layer, our name."""
        kept = detector.state_dict()  # Other buffers are no part of any file.
        for rank, layer in enumerate(self.layers(detector)):
            for path, prefix in layer.parts:
                for theirs, ours in renamed(detector.get_submodule(path), self.names):
                    if f"{path}.{ours}" in kept:
                        yield rank, prefix + theirs, f"{path}.{ours}"


def _branches(heads: list[str]) -> Iterator[tuple[str, str]]:
    """Parts of the last layer: the box and the class branches of each head."""
    for i, head in enumerate(heads, start=1):
        yield f"{head}.box", f"cv{2 * i}."
        yield f"{head}.cls", f"cv{2 * i + 1}."


def _masks(heads: list[str], found: Mapping[str, nn.Module]) -> Iterator[tuple[str, str]]:
    """Parts of the last layer, after the branches of all heads: coefficients and prototypes."""
    for i, head in enumerate(heads, start=1):
        yield f"{head}.coefficients", f"cv{2 * len(heads) + 1 + i}."
        staged = isinstance(found[f"{head}.prototypes"], StagePrototypes)
        inner = ".project" if staged else ""
        yield f"{head}.prototypes{inner}", f"proto{i if i > 1 else ''}."


def renamed(module: nn.Module, names: ChildNames) -> Iterator[tuple[str, str]]:
    """(their name, our name) of each tensor below a module."""
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    yield from ((name, name) for name, _ in own)
    children = names.get(type(module)) or {name: name for name, _ in module.named_children()}
    for path, other in children.items():
        for theirs, ours in renamed(module.get_submodule(path), names):
            yield f"{other}.{theirs}", f"{path}.{ours}"


PUBLISHED = Layout(
    title="the published YOLOv9 repository or Ultralytics",
    names=PUBLISHED_NAMES,
    single=("backbone.column", "neck", *AUXILIARY),
    composite=(*COMPOSITE, "aux_branches.fpn.fpn", "neck"),
    heads_joined=True,
    head_names=("cv2.0", "cv3.0"),
    fixed=("dfl.conv.weight", "dfl2.conv.weight"),
)
YOLO_MIT = Layout(
    title="MultimediaTechLab/YOLO",
    names=YOLO_MIT_NAMES,
    single=("backbone.column", "neck", "head", *AUXILIARY, *AUXILIARY_HEADS),
    composite=(*COMPOSITE, "neck", "head", *AUXILIARY, *AUXILIARY_HEADS),
    heads_joined=False,
    head_names=("heads.0.anchor_conv", "heads.0.class_conv"),
    fixed=tuple(f"heads.{level}.anc2vec.anc2vec.weight" for level in range(3)),
    mark="heads.0.",
)
YOLOV7 = Layout(
    title="the published YOLOv7 repository",
    names=YOLOV7_NAMES,
    single=("backbone", "neck", "head"),
    composite=(),
    heads_joined=False,
    head_names=("m.0", "m.0"),
    fixed=("anchors", "anchor_grid"),
    mark="m.0.",
)
LAYOUTS = (YOLO_MIT, YOLOV7, PUBLISHED)
"""The first whose mark a file has is its own."""
