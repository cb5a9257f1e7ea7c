"""The head of a published file, read from the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from yolov9_lit.models.prototypes import StagePrototypes, UpsampledPrototypes
from yolov9_lit.models.segment import SegmentHead
from yolov9_lit.weights.card import factory
from yolov9_lit.weights.file_layers import FileLayer, FileLayers

CLASS_WIDTHS = ((1, 128), (2, 128), (1, 100))
"""(class_width_factor, class_width_limit) in use; the last is Ultralytics', with box groups 1."""

DEPTHWISE_HEAD = "yolov9_lit.models.head.DepthwiseClassHead"

_BOTTLENECK = re.compile(r"cv2\.0\.m\.(\d{1,2})\.")


def file_head(file: FileLayers, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a file's head.

    Args:
        file: its layers, the head in the last one.
        own: the model's head as configured: its class width is tried before the others.
    """
    shapes = {name: tensor.shape for name, (_, tensor) in file.layers[-1].items()}
    return _branches(shapes, *file.layout.head_names, own) | _masks(file.layers)


def _branches(
    shapes: Mapping[str, torch.Size], box: str, cls: str, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of the box and class branches, from the shapes of the first level's.

    Args:
        shapes: of the tensors in the file's last layer.
        box: their name of the level's box branch.
        cls: their name of its class branch.
        own: as in `file_head`.
    """
    classes, width = shapes[f"{cls}.2.weight"][:2]
    inner = shapes[f"{box}.1.conv.weight"]
    groups = inner[0] // max(inner[1], 1)
    depthwise = shapes.get(f"{cls}.0.0.conv.weight")
    channels = depthwise[0] if depthwise else shapes.get(f"{cls}.0.conv.weight", inner)[1]
    forms = [(own["class_width_factor"], own["class_width_limit"]), *CLASS_WIDTHS]
    if groups == 1:
        forms.reverse()
    fitting = (f for f in forms if max(channels, min(f[0] * classes, f[1])) == width)
    factor, limit = next(fitting, forms[0])
    head = {"box_groups": groups, "class_width_factor": factor, "class_width_limit": limit}
    return head | ({"_target_": DEPTHWISE_HEAD} if depthwise else {})


def _masks(layers: Sequence[FileLayer]) -> dict[str, Any]:
    """Arguments of a head that finds masks; none of a detection head."""
    shapes = {name: tensor.shape for name, (_, tensor) in layers[-1].items()}
    if found := shapes.get("proto.cv1.conv.weight"):
        count = shapes["proto.cv3.conv.weight"][0]
        prototypes = factory(UpsampledPrototypes) | {"width": found[0]}
    elif found := shapes.get("proto.conv.weight"):
        count = found[0]
        bottlenecks = [_BOTTLENECK.match(name) for name in layers[-3]]
        depth = max((int(match[1]) for match in bottlenecks if match), default=0) + 1
        prototypes = factory(StagePrototypes) | {"width": found[1], "csp_depth": depth}
    else:
        return {}
    return factory(SegmentHead) | {"coefficients": count, "prototypes": prototypes}
