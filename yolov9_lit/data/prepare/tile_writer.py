"""Tiles of a data set's images as files, and their annotations in COCO's form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rich.progress import track

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.annotation_entries import SoundObject
from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.keypoint_layout import layout_entry
from yolov9_lit.data.coco.writer import annotation_entry, annotation_path
from yolov9_lit.data.images import (
    UnreadableImage,
    check_size,
    decode_image,
    encode_image,
    has_image_ending,
)
from yolov9_lit.data.prepare.formats.placing import stem, with_own_stems
from yolov9_lit.data.prepare.tile_objects import Part
from yolov9_lit.data.tiles import Tile
from yolov9_lit.files import write_json

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


class PlannedTile(NamedTuple):
    """A tile that is to be written.

    Attributes:
        row: of its image among those of the split.
        tile: where it lies there.
        parts: of the objects that it shows.
    """

    row: int
    tile: Tile
    parts: list[Part]

    @property
    def objects(self) -> list[int]:
        """Return which objects of the image it shows, ignored regions excepted."""
        return [part.row for part in self.parts if not part.crowd]


def write_split(
    root: Path, split: str, annotations: Annotations, planned: Sequence[PlannedTile], faults: Faults
) -> list[PlannedTile]:
    """Write `root/split/` and `root/annotations/instances_{split}.json`.

    A tile is named by its image and its place there; its entry tells its source. Tiles of JPEG
    files are JPEG files, those of others are without loss, and an image that is not cut stays the
    file that it is.

    Args:
        root: folder of the new data set.
        split: its name there.
        annotations: of the images.
        planned: their tiles, in the images' order.
        faults: images that cannot be used are added.

    Returns:
        The tiles that were written: all of the images that can be used.
    """
    (root / split).mkdir()
    images: list[Entry] = []
    objects: list[Entry] = []
    written: list[PlannedTile] = []
    names = [PurePosixPath(annotations.images.name(i)) for i in range(len(annotations))]
    stems = [stem(name) for name in with_own_stems([name.name for name in names])]
    by_image = groupby(planned, key=lambda tile: tile.row)
    count = len({tile.row for tile in planned})
    for index, tiles in track(by_image, annotations.path.name, total=count, transient=True):
        try:
            encoded = annotations.images.encoded(index)
            pixels = decode_image(encoded, str(names[index]))
            check_size(pixels, annotations.sizes[index], str(names[index]))
        except UnreadableImage as error:
            faults.add(Fault.IMAGE_UNREADABLE, f"{error.name} {error.fault}", error.name)
            continue
        for planned_tile in tiles:
            left, top, right, bottom = planned_tile.tile
            shown = pixels[top:bottom, left:right]
            uncut = shown.shape == pixels.shape and has_image_ending(names[index])
            ending = names[index].suffix.lower()
            ending = ending if uncut else ".jpg" if ending in _JPEG else ".png"
            name = f"{stems[index]}_{left}_{top}{ending}"
            (root / split / name).write_bytes(encoded if uncut else encode_image(shown, ending))
            source = {"image_id": int(annotations.image_ids[index]), "file_name": str(names[index])}
            images.append(
                {"id": len(images) + 1, "file_name": name}
                | {"height": bottom - top, "width": right - left}
                | {"source": source | {"left": left, "top": top}}
            )
            for part in planned_tile.parts:
                label = annotations.labels[annotations.offsets[index] + part.row]
                ids = {"image_id": len(images), "category_id": annotations.categories[label].id}
                objects.append({"id": len(objects) + 1} | annotation_entry(_object(part, ids)))
            written.append(planned_tile)
    layout = layout_entry(annotations.layout) if annotations.layout else {}
    categories = [{"id": i, "name": name} | layout for i, name in annotations.categories]
    content = {"images": images, "annotations": objects, "categories": categories}
    write_json(annotation_path(root, split), content)
    return written


def _object(part: Part, entry: Entry) -> SoundObject:
    x1, y1, x2, y2 = part.box
    outlines = [outline.ravel().tolist() for outline in part.outlines]
    return SoundObject(entry, (x1, y1, x2, y2), outlines, part.crowd, 0, part.keypoints)
