"""What a run used of its data, for its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.structures import SkippedImage


def used_data(annotations: Annotations, skipped: Mapping[int, SkippedImage]) -> dict[str, Any]:
    """Numbers of "pictures" and "boxes" that were used, crowds not counted, and "faults" by kind.

    Args:
        annotations: of a split.
        skipped: its images that could not be used, by index.
    """
    names = annotations.images  # A training resumed on other data has skipped other images.
    skipped = {i: p for i, p in skipped.items() if i < len(annotations) and names.name(i) == p.name}
    single = np.diff(np.concatenate([[0], np.cumsum(~annotations.crowd)])[annotations.offsets])
    faults = dict(annotations.faults)
    for fault, count in Counter(image.fault for image in skipped.values()).items():
        faults[f"images are skipped, each of which {fault}"] = count
    return {
        "pictures": len(annotations) - len(skipped),
        "boxes": int(np.delete(single, list(skipped)).sum()),
        "faults": faults,
    }
