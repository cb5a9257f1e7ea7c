"""Widths of a published model, read from the tensors of its layers.

Files of the table's sizes name themselves by their stem; this is for those that were narrowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Shapes: TypeAlias = Mapping[str, Sequence[int]]
"""Of a layer's tensors, by their names in it."""

SINGLE = 16
"""Layers of backbone and neck in a model of one column, always in the same order."""


def file_widths(layers: Sequence[Shapes]) -> dict[str, Any]:
    """Return the fields of `GelanSpec` that are widths.

    Args:
        layers: of a published file of one backbone column, by rank; at least `SINGLE`.

    Raises:
        LookupError: a layer lacks the tensor that tells its width.
    """
    column, neck = layers[:9], layers[9:SINGLE]
    return {
        "stem": [layer["conv.weight"][0] for layer in column[:2]],
        "p2": _stage(column[2]),
        "stages": [_stage(column[rank]) for rank in (4, 6, 8)],
        "downs": [_down(column[rank]) for rank in (3, 5, 7)],
        "spp": [neck[0]["cv5.conv.weight"][0], neck[0]["cv1.conv.weight"][0]],
        "top_down": [_stage(neck[rank]) for rank in (1, 2)],
        "bottom_up": [_stage(neck[rank]) for rank in (4, 6)],
        "bottom_up_downs": [_down(neck[rank]) for rank in (3, 5)],
    }


def _stage(layer: Shapes) -> list[int]:
    """(out, mid, branch) of a GELAN stage; the branches of a plain one are single convolutions."""
    branch = "cv2.conv.weight" if "cv2.conv.weight" in layer else "cv2.1.conv.weight"
    return [layer[name][0] for name in ("cv4.conv.weight", "cv1.conv.weight", branch)]


def _down(layer: Shapes) -> int:
    """Channels that a down-sampling gives; that of ADown has two halves."""
    halves = ("cv1.conv.weight", "cv2.conv.weight")
    return sum(layer[name][0] for name in halves if name in layer)
