"""The arrays of annotations as files that are mapped into memory.

Only the parts that are used are in memory, and the processes of a machine share them: it makes no
difference how many images there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.polygons import FlatPolygons

_OWN = ("image_ids", "sizes", "boxes", "labels", "crowd", "offsets", "keypoints")
_POLYGONS = tuple(field.name for field in fields(FlatPolygons))

ARRAYS = (*_OWN, *_POLYGONS)
"""Names of the arrays of annotations."""


def arrays_of(annotations: Annotations) -> dict[str, np.ndarray]:
    """Return the arrays by name."""
    arrays = vars(annotations) | vars(annotations.polygons)
    return {name: arrays[name] for name in ARRAYS}


def from_arrays(arrays: Mapping[str, np.ndarray], **rest: Any) -> Annotations:
    """Return annotations of their arrays and of what else they hold."""
    own: dict[str, Any] = {name: arrays[name] for name in _OWN}
    polygons = FlatPolygons(*(arrays[name] for name in _POLYGONS))
    return Annotations(polygons=polygons, **own, **rest)


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write each array to a file of its name; make the folder if needed."""
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(array_path(folder, name), array)


def array_path(folder: Path, name: str) -> Path:
    """Return where `save_arrays` writes an array."""
    return folder / f"{name}.npy"


def map_array(path: Path) -> np.ndarray:
    """Map an array into memory, read-only.

    Raises:
        OSError: the file cannot be read.
        EOFError: it is empty.
        ValueError: it is no array, or shorter than that.
    """
    return np.asarray(np.load(path, mmap_mode="r"))  # A plain array: memmap's slices are slow.
