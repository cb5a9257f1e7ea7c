"""What the keypoints of a data set are, as far as their names tell."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from yolov9_lit.structures import USUAL_SIGMA, KeypointLayout

_SIGMAS = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
"""COCO's, by the names without their side: https://cocodataset.org/#keypoints-eval."""

_SIDE = re.compile(
    r"(?<![A-Za-z])(?:left|right|l|r|Left|Right|LEFT|RIGHT|L|R)(?![a-z])"
    r"|(?<=[a-z])(?:Left|Right|L|R)(?![a-z])"
)
_OTHER_SIDE = {"left": "right", "l": "r", "Left": "Right", "LEFT": "RIGHT", "L": "R"}
_OTHER_SIDE |= {right: left for left, right in _OTHER_SIDE.items()}


def layout_of_names(names: Sequence[str], edges: Sequence[tuple[int, int]] = ()) -> KeypointLayout:
    """Return the layout of keypoints with these names.

    Those whose names differ in the side alone (left_eye and right_eye, l-eye and r-eye, eyeL and
    eyeR) change places in a mirrored image; those that COCO has have its sigmas.
    """
    place = {name: i for i, name in enumerate(names)}
    mirrored = tuple(place.get(_other_side(name), i) for i, name in enumerate(names))
    sigmas = tuple(_SIGMAS.get(_without_side(name), USUAL_SIGMA) for name in names)
    return KeypointLayout(tuple(names), tuple(edges), mirrored, sigmas)


def layout_entry(layout: KeypointLayout) -> dict[str, Any]:
    """Return what a category of a COCO-format file says of its keypoints.

    Beside COCO's own keys it has "sigmas" and "mirrored" (from 0) where the names do not tell them.
    """
    told = layout_of_names(layout.names)
    return {
        "keypoints": [*layout.names],
        "skeleton": [[a + 1, b + 1] for a, b in layout.edges],
        **({"mirrored": [*layout.mirrored]} if layout.mirrored != told.mirrored else {}),
        **({"sigmas": [*layout.sigmas]} if layout.sigmas != told.sigmas else {}),
    }


def fault_of(layout: KeypointLayout) -> str:
    """Say which part of a layout does not fit its names, and how; empty where all fit."""
    count = len(layout.names)
    for part, values in (("sigmas", layout.sigmas), ("mirrored", layout.mirrored)):
        if len(values) != count:
            return f"{part} has {len(values)} entries, but there are {count} keypoints"
    if not all(math.isfinite(sigma) and sigma > 0 for sigma in layout.sigmas):
        return "sigmas are not all above 0"
    mirrored = layout.mirrored
    if any(not 0 <= i < count for i in mirrored) or any(
        mirrored[i] != here for here, i in enumerate(mirrored)
    ):
        return f"mirrored does not pair the keypoints 0 to {count - 1}"
    if wrong := [i for edge in layout.edges for i in edge if not 0 <= i < count]:
        return f"edges name keypoint {wrong[0]}, but there are 0 to {count - 1}"
    return ""


def layout_from_json(values: Sequence[Any] | None) -> KeypointLayout | None:
    """Return the layout that JSON has as a list of lists; None of null."""
    if values is None:
        return None
    names, edges, mirrored, sigmas = values
    pairs = tuple((a, b) for a, b in edges)
    return KeypointLayout(tuple(names), pairs, tuple(mirrored), tuple(sigmas))


def _other_side(name: str) -> str:
    return _SIDE.sub(lambda side: _OTHER_SIDE[side[0]], name)


def _without_side(name: str) -> str:
    return _SIDE.sub("", name).strip(" _-.").lower()
