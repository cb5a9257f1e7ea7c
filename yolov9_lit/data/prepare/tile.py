"""The command `tile`: a data set whose large images are cut into tiles that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.table import Table

from yolov9_lit.checks import new_folder, number_text, whole_number_text
from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.prepare.formats.source import SPLITS
from yolov9_lit.data.prepare.tile_objects import parts_in
from yolov9_lit.data.prepare.tile_writer import PlannedTile, write_split
from yolov9_lit.data.tiles import tiles_of
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_folder
from yolov9_lit.kinds import Limits
from yolov9_lit.reporting.console import console

_NAMES = {split: f"{split}2017" for split in SPLITS}  # As `data=coco` has them.


class Cut(NamedTuple):
    """How images are cut.

    Attributes:
        size: side of a tile in pixels, 32 or more.
        overlap: share of a tile that its neighbour shows too, at least, 0..0.9.
        visible: share of an object from which on it counts in a tile; less is an ignored region.
        empty: share of the training's tiles without an object that is kept.
        seed: of which ones those are.
    """

    size: int
    overlap: float
    visible: float
    empty: float
    seed: int


class TiledSplit(NamedTuple):
    """What was made of a split.

    Attributes:
        images: that it had.
        tiles: that were written.
        boxes: of objects in them, one that several tiles show counted in each.
        ignored: parts of objects that are ignored regions.
        lost: objects that count in no tile.
        left_out: tiles without an object.
    """

    images: int
    tiles: int
    boxes: int
    ignored: int
    lost: int
    left_out: int


def run(values: Mapping[str, str], build_data: Callable[[], DetectionDataModule]) -> None:
    """Cut a data set into tiles and print a row for each split: the command `tile`.

    Args:
        values: "out"; optionally "size", by default that of the training's inputs, "overlap" (0.2),
            "visible" (0.3) and "empty" (1), see `Cut`.
        build_data: makes the data module of the training's config.

    Raises:
        UserError: the config cannot be composed, the data are not there, a value is wrong or `out`
            cannot be written.
    """
    overlap = number_text("overlap", values.get("overlap", "0.2"), Limits(0, 0.9))
    visible = number_text("visible", values.get("visible", "0.3"), Limits(0, 1))
    empty = number_text("empty", values.get("empty", "1"), Limits(0, 1))
    size = whole_number_text("size", values["size"], least=32) if "size" in values else None
    out = new_folder("out", Path(values["out"]).expanduser())
    datamodule = build_data()
    size, seed = size or datamodule.batches.image_size, datamodule.batches.seed
    made = write_tiles(datamodule, out, Cut(size, overlap, visible, empty, seed))
    columns = ("images", "tiles", "boxes", "parts ignored", "objects in no tile", "tiles left out")
    table = Table("split", *columns, title=str(out))
    for split, row in made.items():
        table.add_row(split, *(f"{count:,}" for count in row))
    console().print(table)


def write_tiles(datamodule: DetectionDataModule, out: Path, cut: Cut) -> dict[str, TiledSplit]:
    """Write the tiles of all splits in COCO's layout; `out` appears whole or not at all.

    Those of the validation too, so that a training chooses its best checkpoint by images as it
    learns them; they keep all that are empty, for what is found there is wrong.

    Args:
        datamodule: of the data set.
        out: folder to make.
        cut: how images are cut.

    Returns:
        What was made, by split; a test split that is the validation's is not cut again.

    Raises:
        UserError: the data are not there, no image of a split can be used or `out` cannot be
            written.
    """
    datamodule.setup()
    splits = {split: datamodule.annotations(split) for split in _NAMES}
    if _images(splits["test"]) == _images(splits["val"]):
        del splits["test"]
    faults = Faults(datamodule.root)
    made = {}
    try:
        with atomic_folder(out) as draft:
            for split, annotations in splits.items():
                faults.split = split
                planned = [*_planned(annotations, cut)]
                kept = _some_empty(planned, cut) if split == "train" else planned
                written = write_split(draft, _NAMES[split], annotations, kept, faults)
                if not written:
                    raise UserError(
                        f"No tile of {annotations.path} can be written "
                        f"({faults.summary() or 'all are empty'}): mend the data or give empty=1."
                    )
                made[split] = _made(annotations, written, len(planned) - len(kept))
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error}): choose another out.") from error
    faults.raise_or_warn(strict=False)
    return made


def _images(annotations: Annotations) -> list[str]:
    return [annotations.images.name(index) for index in range(len(annotations))]


def _planned(annotations: Annotations, cut: Cut) -> Iterator[PlannedTile]:
    for index, (height, width) in enumerate(annotations.sizes.tolist()):
        objects = annotations.objects(index)
        for tile in tiles_of(height, width, cut.size, cut.overlap):
            yield PlannedTile(index, tile, [*parts_in(tile, objects, cut.visible)])


def _some_empty(planned: Sequence[PlannedTile], cut: Cut) -> list[PlannedTile]:
    """Leave out all but a share of the tiles without an object."""
    empty = np.array([i for i, tile in enumerate(planned) if not tile.objects], dtype=int)
    order = np.random.default_rng(cut.seed).permutation(empty).tolist()
    left_out = {*order[round(cut.empty * len(empty)) :]}
    return [tile for i, tile in enumerate(planned) if i not in left_out]


def _made(annotations: Annotations, written: Sequence[PlannedTile], left_out: int) -> TiledSplit:
    shown = [(tile.row, k) for tile in written for k in tile.objects]
    crowds = [
        annotations.crowd[annotations.offsets[tile.row] + part.row]
        for tile in written
        for part in tile.parts
        if part.crowd
    ]
    return TiledSplit(
        images=len(annotations),
        tiles=len(written),
        boxes=len(shown),
        ignored=len(crowds) - int(sum(crowds)),
        lost=int((~annotations.crowd).sum()) - len(set(shown)),
        left_out=left_out,
    )
