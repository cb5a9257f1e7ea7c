"""Annotation files in COCO format, read into flat arrays.

The format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.coco_checks import (
    Entry,
    is_id,
    load_coco,
    stated_size,
    usable_annotations,
    usable_categories,
    usable_images,
)
from yolov9_lit.data.images import picture_size
from yolov9_lit.data.pictures import PictureFiles
from yolov9_lit.data.polygons import FlatPolygons, pack_polygons
from yolov9_lit.data.problems import Problems
from yolov9_lit.errors import UserError


def read_coco(annotation_file: Path, image_dir: Path, *, strict: bool = False) -> Annotations:
    """Reads a COCO annotation file; warns once of each kind of fault and goes on without it.

    Pictures that are missing or empty are left out with their boxes, boxes are clipped to their
    picture. Whether a picture can be decoded shows when it is read.

    Args:
        annotation_file: JSON.
        image_dir: the folder that its file names start from.
        strict: make any fault an error.

    Raises:
        UserError: the file or folder is missing, is no COCO JSON or has no picture that can be
            used; or `strict`, and there is a fault: all are listed.
    """
    problems = Problems(annotation_file)
    annotations = collect_coco(annotation_file, image_dir, problems)
    problems.settle(strict=strict)
    return annotations


def collect_coco(annotation_file: Path, image_dir: Path, problems: Problems) -> Annotations:
    """Reads a COCO annotation file and adds what is wrong to `problems`; see `read_coco`."""
    content = load_coco(annotation_file)
    if not image_dir.is_dir():
        raise UserError(f"image folder {image_dir} does not exist; check the data set's paths")
    if not content.images:
        raise UserError(f"{annotation_file} lists no images; give an annotation file with pictures")
    names = usable_categories(content.categories, problems)
    images = usable_images(content.images, problems)
    images = _with_sizes(_present(images, image_dir, problems), image_dir, problems)
    if not images:
        raise UserError(
            f"none of the {len(content.images):,} pictures of {annotation_file} can be used: "
            f"{_reasons(problems)}; check the file and its folder {image_dir}"
        )
    pictures = {entry["id"]: entry for entry in images}
    listed = filter(is_id, (entry.get("id") for entry in content.images))
    entries, boxes = usable_annotations(content.annotations, pictures, listed, names, problems)
    rows = _positions((entry["image_id"] for entry in entries), list(pictures))
    labels = _positions((entry["category_id"] for entry in entries), list(names))
    order = np.argsort(rows, kind="stable")
    kept = [entries[i] for i in order]
    counts = np.bincount(rows, minlength=len(images))
    return Annotations(
        path=annotation_file,
        pictures=PictureFiles(image_dir, np.array([e["file_name"] for e in images], dtype=np.str_)),
        categories=tuple(Category(i, name) for i, name in names.items()),
        image_ids=np.array(list(pictures), dtype=np.int64),
        sizes=np.array([stated_size(entry) for entry in images], dtype=np.int32),
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4)[order],
        labels=labels[order],
        crowd=np.array([bool(entry.get("iscrowd", 0)) for entry in kept], dtype=bool),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        polygons=_polygons(kept, pictures, problems),
        faults=problems.counts(),
    )


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
            problems.add("pictures are missing and left out", name)
        else:
            problems.add("pictures are empty files and left out", name)
    return present


def _file_sizes(folder: str) -> dict[str, int]:
    """Bytes of each file of a folder by name; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except (OSError, ValueError):  # A name can hold what no path can.
        return {}


def _with_sizes(images: Sequence[Entry], folder: Path, problems: Problems) -> list[Entry]:
    """The entries with a height and width each, from the picture where the file lacks them."""
    sized = []
    for entry in images:
        if stated_size(entry) is None:
            name = entry["file_name"]
            size = picture_size(folder / name)
            if size is None:
                problems.add("pictures have no height and width, not even in their header", name)
                continue
            problems.add("entries of pictures lack height or width: taken from the picture", name)
            entry = entry | {"height": size[0], "width": size[1]}
        sized.append(entry)
    return sized


def _reasons(problems: Problems) -> str:
    kinds = problems.by_kind().items()
    return ", ".join(f"{len(found):,} {kind} ({found[0].where})" for kind, found in kinds)


def _positions(values: Iterable[int], ids: Sequence[int]) -> np.ndarray:
    position = {value: i for i, value in enumerate(ids)}
    return np.array([position[value] for value in values], dtype=np.int64)


def _polygons(
    entries: Sequence[Entry], pictures: Mapping[int, Entry], problems: Problems
) -> FlatPolygons:
    """Outlines of all but crowds."""
    outlines = [None if e.get("iscrowd") else e.get("segmentation") for e in entries]
    packed, faulty = pack_polygons(outlines)
    for i in faulty:
        problems.add(
            "annotations have polygons of under three corners, odd or broken: these are left out",
            f"annotation {entries[i].get('id')}",
            pictures[entries[i]["image_id"]]["file_name"],
        )
    for outline in outlines:
        if isinstance(outline, dict):
            problems.notes[
                "objects have RLE masks: their boxes train, copy-paste needs outlines"
            ] += 1
    return packed
