"""What a YOLO data set's YAML file says of keypoints, in the form of COCO's categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.keypoint_layout import layout_entry
from yolov9_lit.data.prepare.formats.yolo_config import YoloConfig
from yolov9_lit.structures import KeypointLayout

_KEYS = {"flip_idx": "mirrored", "skeleton": "skeleton", "sigmas": "sigmas"}
"""Of the YAML file, and of a category; the last two are this project's own."""


def keypoint_entries(config: YoloConfig, faults: Faults) -> dict[int, dict[str, Any]]:
    """Return by class index what categories say of their keypoints; nothing without `kpt_shape`.

    `kpt_names` is a list, or one for each class that has keypoints; without it they are called by
    their numbers, from 0. `flip_idx` is which keypoint takes the place of each in a mirrored image.
    """
    shape = config.pose_shape
    if shape is None or not shape.keypoints:
        return {}
    stated = {ours: config.content[key] for key, ours in _KEYS.items() if config.has(key)}
    given = config.content.get("kpt_names") if config.has("kpt_names") else None
    by_class = given if isinstance(given, Mapping) else {str(i): given for i in config.names}
    numbered = [str(i) for i in range(shape.keypoints)]
    entries = {}
    for index in config.names:
        if str(index) in by_class:
            names = by_class[str(index)] or numbered
            if len(names) != shape.keypoints:
                where = f"kpt_names: {len(names)}, kpt_shape: {shape.keypoints}"
                faults.add(Fault.KEYPOINT_LAYOUT, where)
                names = numbered
            entries[index] = {"keypoints": names, **stated}
    return entries


def keypoint_config(layouts: Mapping[int, KeypointLayout]) -> dict[str, Any]:
    """Return what the YAML file says of keypoints; nothing where there are none.

    Args:
        layouts: of the classes with keypoints, by their index; all the same.
    """
    if not layouts:
        return {}
    layout = next(iter(layouts.values()))
    told = layout_entry(layout)
    return {
        "kpt_shape": [len(layout.names), 3],
        "kpt_names": {index: [*names.names] for index, names in layouts.items()},
        "flip_idx": [*layout.mirrored],
        **{key: told[key] for key in ("skeleton", "sigmas") if told.get(key)},
    }
