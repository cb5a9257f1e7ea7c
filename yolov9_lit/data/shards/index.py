"""The annotations of a folder of shards as arrays that are mapped into memory.

Only the parts that are used are in memory, and the processes of a machine share them: it makes no
difference how many images there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.images import ImageSource
from yolov9_lit.data.polygons import FlatPolygons

_POLYGONS = tuple(field.name for field in fields(FlatPolygons))
_OWN = ("image_ids", "sizes", "boxes", "labels", "crowd", "offsets")


class Members(NamedTuple):
    """Where the N images lie in their shards.

    Attributes:
        starts: (N,) int64, first byte in the shard.
        lengths: (N,) int64, in bytes.
        checksums: (N,) uint32, CRC-32.
    """

    starts: np.ndarray
    lengths: np.ndarray
    checksums: np.ndarray


_FILES = (*_OWN, *_POLYGONS, *Members._fields)


def write_index(folder: Path, annotations: Annotations, members: Members) -> Iterable[str]:
    """Writes the arrays; gives their files' names from `folder` on."""
    arrays = {name: getattr(annotations, name) for name in _OWN}
    arrays |= vars(annotations.polygons) | members._asdict()
    for name, path in index_files().items():
        (folder / path).parent.mkdir(exist_ok=True)
        np.save(folder / path, arrays[name])
    return index_files().values()


def index_files() -> dict[str, str]:
    """The file of each array."""
    return {name: f"index/{name}.npy" for name in _FILES}


def map_index(
    local: Callable[[str], Path],
    path: Path,
    categories: tuple[Category, ...],
    source: Callable[[Members], ImageSource],
    faults: Mapping[str, int],
) -> Annotations:
    """Maps the arrays into memory.

    Args:
        local: gives the local file of a name.
        path: annotation file that they come from.
        categories: sorted by id.
        source: makes the images' source of where they lie.
        faults: of the data set that they were made from, by kind.
    """
    arrays = {name: _map(local(file)) for name, file in index_files().items()}
    own: dict[str, Any] = {name: arrays[name] for name in _OWN}
    return Annotations(
        path=path,
        images=source(Members(*(arrays[name] for name in Members._fields))),
        categories=categories,
        polygons=FlatPolygons(*(arrays[name] for name in _POLYGONS)),
        faults=faults,
        **own,
    )


def _map(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r"))  # A plain array: memmap's slices are slow.
