"""What of the content of a COCO-format file can be used: the entries themselves, not yet arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from yolov9_lit.data.coco.checks import (
    Box,
    is_id,
    stated_size,
    usable_annotations,
    usable_categories,
    usable_images,
)
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.coco.problems import Problems
from yolov9_lit.data.images import image_size
from yolov9_lit.errors import UserError


class UsableContent(NamedTuple):
    """Images that are there, and objects with a box and a class.

    Attributes:
        names: of the categories by id, in the order of the ids.
        images: entries of `images` by id, in the file's order, each with its height and width.
        entries: of `annotations`, in the file's order.
        boxes: x1, y1, x2, y2 in pixels of each entry, inside its image.
    """

    names: dict[int, str]
    images: dict[int, Entry]
    entries: list[Entry]
    boxes: list[Box]


def usable_content(
    content: CocoContent, file: Path, folder: Path, problems: Problems
) -> UsableContent:
    """Leaves out what cannot be used, and adds it to `problems`.

    Args:
        content: of `file`.
        file: for messages.
        folder: that the file names start from.
        problems: what is wrong is added.

    Raises:
        UserError: the folder does not exist, or no image can be used.
    """
    if not folder.is_dir():
        raise UserError(f"image folder {folder} does not exist; check the data set's paths")
    if not content.images:
        raise UserError(f"{file} lists no images; give an annotation file with images")
    names = usable_categories(content.categories, problems)
    images = usable_images(content.images, problems)
    images = _with_sizes(_present(images, folder, problems), folder, problems)
    if not images:
        raise UserError(
            f"none of the {len(content.images):,} images of {file} can be used: "
            f"{_reasons(problems)}; check the file and its folder {folder}"
        )
    by_id = {entry["id"]: entry for entry in images}
    listed = filter(is_id, (entry.get("id") for entry in content.images))
    entries, boxes = usable_annotations(content.annotations, by_id, listed, names, problems)
    return UsableContent(names, by_id, entries, boxes)


def _present(images: Sequence[Entry], folder: Path, problems: Problems) -> list[Entry]:
    """Those whose file is there and not empty; a folder is listed once, not each file looked up."""
    bytes_by_folder = {
        parent: _file_sizes(parent)
        for parent in {os.path.dirname(folder / entry["file_name"]) for entry in images}
    }
    present = []
    for entry in images:
        name = entry["file_name"]
        parent, base = os.path.split(folder / name)
        size = bytes_by_folder[parent].get(base)
        if size:
            present.append(entry)
        elif size is None:
            problems.add("images are missing and left out", name)
        else:
            problems.add("images are empty files and left out", name)
    return present


def _file_sizes(folder: str) -> dict[str, int]:
    """Bytes of each file of a folder by name; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except (OSError, ValueError):  # A name can hold what no path can.
        return {}


def _with_sizes(images: Sequence[Entry], folder: Path, problems: Problems) -> list[Entry]:
    """The entries with a height and width each, from the image where the file lacks them."""
    sized = []
    for entry in images:
        if stated_size(entry) is None:
            name = entry["file_name"]
            size = image_size(folder / name)
            if size is None:
                problems.add("images have no height and width, not even in their header", name)
                continue
            problems.add("entries of images lack height or width: taken from the image", name)
            entry = entry | {"height": size[0], "width": size[1]}
        sized.append(entry)
    return sized


def _reasons(problems: Problems) -> str:
    kinds = problems.by_kind().items()
    return ", ".join(f"{len(found):,} {kind} ({found[0].where})" for kind, found in kinds)
