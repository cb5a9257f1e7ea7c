"""A published file's tensors sorted into the numbered layers of its model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from torch import Tensor

from yolov9_lit.weights.layouts import LAYOUTS, Layout

_LAYER = re.compile(r"(?P<prefix>(?:[A-Za-z_]\w*\.)*)(?P<layer>\d+)\.(?P<name>.+)")

FileLayer: TypeAlias = dict[str, tuple[str, Tensor]]
"""Name inside the layer -> (full name, tensor)."""


class FileLayers(NamedTuple):
    """A file's layers.

    Attributes:
        layers: those that hold tensors, by rank.
        outside: names of tensors in no layer.
        layout: whose names they are.
        fixed: what the last layer holds beside weights.
    """

    layers: list[FileLayer]
    outside: list[str]
    layout: Layout
    fixed: FileLayer


def find_layers(tensors: Mapping[str, Tensor]) -> FileLayers | None:
    """Sort a state dict into layers; of several copies of the model the average is taken."""
    copies: dict[str, dict[int, FileLayer]] = defaultdict(dict)
    outside = []
    for full, tensor in tensors.items():
        if found := _LAYER.fullmatch(full):
            layer = copies[found["prefix"]].setdefault(int(found["layer"]), {})
            layer[found["name"]] = (full, tensor)
        else:
            outside.append(full)
    if not copies:
        return None
    chosen = max(copies.items(), key=lambda copy: (copy[0].startswith("ema."), len(copy[1])))[1]
    for other in copies.values():
        if other.keys() != chosen.keys():
            outside += [full for layer in other.values() for full, _ in layer.values()]
    ordered = [chosen[number] for number in sorted(chosen)]
    last = ordered[-1]
    layout = next(one for one in LAYOUTS if any(name.startswith(one.mark) for name in last))
    fixed = {name: last[name] for name in layout.fixed if name in last}
    for layer in ordered:
        for name in layout.fixed:
            layer.pop(name, None)
    return FileLayers([layer for layer in ordered if layer], outside, layout, fixed)
