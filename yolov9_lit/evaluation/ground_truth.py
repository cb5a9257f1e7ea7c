"""The annotations that detections are measured by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_ground_truth(annotation_file: Path) -> dict[str, Any]:
    """A COCO-format file, completed by the keys that smaller data sets leave out."""
    content = json.loads(annotation_file.read_text())
    for annotation in content["annotations"]:
        annotation.setdefault("iscrowd", 0)
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])
    return content
