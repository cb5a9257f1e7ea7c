"""The model of a published YOLOv7 file, read from the shapes of its tensors."""

from __future__ import annotations

from typing import Any

from yolov9_lit.models.anchor_head import BOX, AnchorHead
from yolov9_lit.models.layers import RepConv
from yolov9_lit.models.yolov7 import STEM, yolov7_detector
from yolov9_lit.weights.card import factory
from yolov9_lit.weights.file_layers import FileLayers


def yolov7_config(file: FileLayers) -> dict[str, Any]:
    """Return the config of a file's model, as a card holds it.

    Args:
        file: its layers, the head in the last one; deployed heads have no implicit knowledge.

    Raises:
        LookupError: it has no anchors, or no head.
    """
    head = {name: tensor.shape for name, (_, tensor) in file.layers[-1].items()}
    grid = file.fixed["anchor_grid"][1]
    anchors = grid.float().reshape(len(grid), -1, 2)
    stem = next(iter(file.layers[0].values()))[1].shape[0]
    return {
        "_target_": factory(yolov7_detector)["_target_"],
        "_convert_": "all",
        "num_classes": head["m.0.weight"][0] // anchors.shape[1] - BOX,
        "in_channels": 3,
        "width": stem / STEM,
        "output": factory(RepConv),
        "head": {
            **factory(AnchorHead),
            "anchors": anchors.tolist(),
            "implicit": "ia.0.implicit" in head,
        },
    }
