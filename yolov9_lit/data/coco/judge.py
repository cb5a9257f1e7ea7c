"""What of COCO-format content can be used; everything else becomes a fault.

Training, the metric, the converter, the check and the shards' writer all take their entries from
here, whatever format these come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.coco.annotation_entries import (
    SoundAnnotations,
    SoundObject,
    sound_annotations,
)
from yolov9_lit.data.coco.category_entries import sound_categories
from yolov9_lit.data.coco.faults import Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.coco.image_entries import Listing, is_id, list_files, sizes_of, sound_images
from yolov9_lit.data.coco.keypoint_entries import leave_unnamed, sound_layouts, tell_unnamed
from yolov9_lit.data.coco.keypoint_layout import layout_entry
from yolov9_lit.errors import UserError
from yolov9_lit.structures import KeypointLayout


class SoundImage(NamedTuple):
    """An image that is there.

    Attributes:
        entry: of `images`, with "height" and "width" in pixels.
        path: its file.
        name: its path from the folder of images, with slashes.
        objects: its sound annotations.
    """

    entry: Entry
    path: Path
    name: str
    objects: list[SoundObject]


@dataclass(frozen=True)
class Judged:
    """The images that are there, and the annotations of them that have a box and a class.

    Attributes:
        path: the annotation file, for messages.
        folder: that the images' file names start from.
        names: of the categories by id, in the order of the ids.
        layouts: what the keypoints of the categories are that have some, by id; all the same.
        images: entries of `images` by id, in the file's order, each with its height and width.
        sizes: (N, 2) their heights and widths; infinite where the annotations are judged alone.
        entries: the file's annotations, sound or not.
        sound: which of them are, in arrays.
        faults: what is wrong with the rest.
    """

    path: Path
    folder: Path
    names: dict[int, str]
    layouts: dict[int, KeypointLayout]
    images: dict[int, Entry]
    sizes: np.ndarray
    entries: Sequence[Entry]
    sound: SoundAnnotations
    faults: Faults

    @cached_property
    def objects(self) -> list[SoundObject]:
        """Return the sound annotations one by one, in the file's order."""
        return self.sound.objects(self.entries)

    def sound_entries(self) -> Iterator[Entry]:
        """Yield the file's entries of the sound annotations, in the order of these."""
        return (self.entries[i] for i in self.sound.entry.tolist())

    @property
    def categories(self) -> list[Entry]:
        """Return the entries of `categories`."""
        told = {i: layout_entry(layout) for i, layout in self.layouts.items()}
        return [{"id": i, "name": name} | told.get(i, {}) for i, name in self.names.items()]

    @property
    def keypoints(self) -> KeypointLayout | None:
        """Return what the keypoints of the objects are; None where no category has any."""
        return next(iter(self.layouts.values()), None)

    def without_keypoints(self) -> Judged:
        """Return the same as if no category had keypoints."""
        sound = self.sound._replace(keypoints=self.sound.keypoints[:, :0])
        return replace(self, layouts={}, sound=sound)

    def by_image(self) -> list[SoundImage]:
        """Return the images with their objects."""
        found = {
            image_id: SoundImage(entry, self.folder / entry["file_name"], entry["file_name"], [])
            for image_id, entry in self.images.items()
        }
        for item in self.objects:
            found[item.entry["image_id"]].objects.append(item)
        return [*found.values()]


def judge(content: CocoContent, folder: Path, listing: Listing = list_files) -> Judged:
    """Leave out what cannot be used, and add it to the content's faults.

    Args:
        content: of an annotation file, or of another format.
        folder: that the file names start from.
        listing: of the folders that the files lie in.

    Raises:
        UserError: the folder does not exist, or no image can be used.
    """
    faults = content.faults
    if not folder.is_dir():
        raise UserError(f"There is no image folder {folder}: check the data set's paths.")
    images = sound_images(content.images, folder, faults, listing)
    if not images:
        raise UserError(
            f"{content.path} has no images that can be used "
            f"({faults.summary() or 'the list is empty'}): check the file and its folder {folder}."
        )
    judged = _judged(content, folder, images)
    if not faults.notes[Note.RLE]:
        return judged
    from yolov9_lit.data.coco.traced import with_traced  # Few files have run lengths.

    entries = [*images.values()]
    return replace(
        judged, sound=with_traced(judged.sound, judged.entries, entries, judged.sizes, faults)
    )


def judge_annotations(content: CocoContent) -> Judged:
    """Judge as `judge` does, but take all images that have an id: their files need not be there.

    Outlines of RLE masks are not traced.
    """
    images = {entry["id"]: entry for entry in content.images if is_id(entry.get("id"))}
    return _judged(content, content.path.parent, images)


def _judged(content: CocoContent, folder: Path, images: dict[int, Entry]) -> Judged:
    faults, entries = content.faults, content.annotations
    names = sound_categories(content.categories, faults)
    listed = [entry["id"] for entry in content.images if is_id(entry.get("id"))]
    layouts = sound_layouts(content.categories, faults)
    if not layouts:
        tell_unnamed(entries, faults)
    count = len(next(iter(layouts.values())).names) if layouts else 0
    sizes = sizes_of(images.values())
    sound = sound_annotations(entries, images, sizes, listed, names, count, faults)
    if layouts:
        leave_unnamed(sound.keypoints, np.isin([*names], [*layouts])[sound.label], faults)
    return Judged(content.path, folder, names, layouts, images, sizes, entries, sound, faults)
