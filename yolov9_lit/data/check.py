"""Reads a data set whole, every picture decoded, and finds what is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco import collect_coco
from yolov9_lit.data.coco_file import load_coco
from yolov9_lit.data.coco_layout import Split
from yolov9_lit.data.images import UnreadablePicture, read_image
from yolov9_lit.data.problems import Problems
from yolov9_lit.data.sources import PICTURE_ENDINGS


class PictureFacts(NamedTuple):
    """What a decoded picture is: pixels, a hash of them; or what is wrong with it."""

    height: int = 0
    width: int = 0
    digest: bytes = b""
    fault: str = ""


class SplitReport(NamedTuple):
    """What was found in a split; `facts` has an entry for each of its pictures."""

    split: Split
    annotations: Annotations
    facts: list[PictureFacts]
    problems: Problems


def check_splits(splits: Sequence[Split], *, workers: int) -> Iterator[SplitReport]:
    """Checks one split after the other; a report also compares with the splits before it.

    Raises:
        UserError: a split's file or folder is missing or has no picture that can be used.
    """
    owners: dict[bytes, tuple[str, str]] = {}
    categories = None
    named = _named_files(splits)
    for split in splits:
        problems = Problems(split.annotations)
        annotations = collect_coco(split.annotations, split.images, problems)
        facts = _scan(annotations, workers)
        names = [os.path.relpath(path, split.images) for path in _paths(annotations)]
        _compare_sizes(names, annotations.sizes, facts, problems)
        _find_copies(split.name, names, facts, owners, problems)
        if categories not in (None, annotations.categories):
            problems.add("categories differ from those of the splits before", split.name)
        categories = annotations.categories
        if unnamed := _pictures_in(split.images) - named:
            problems.notes["pictures in its folder are named by no annotation file"] = len(unnamed)
        if empty := annotations.num_classes - len(set(annotations.labels.tolist())):
            problems.notes["categories have no box"] = empty
        yield SplitReport(split, annotations, facts, problems)


def _named_files(splits: Sequence[Split]) -> set[Path]:
    """Pictures that any annotation file names: splits may share a folder."""
    return {
        split.images / name
        for split in splits
        for entry in load_coco(split.annotations).images
        if isinstance(name := entry.get("file_name"), str)
    }


def _pictures_in(folder: Path) -> set[Path]:
    return {p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_ENDINGS}


def _scan(annotations: Annotations, workers: int) -> list[PictureFacts]:
    """Decodes each picture, in as many processes."""
    paths = _paths(annotations)
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        return list(pool.map(_look, paths, chunksize=16))


def _paths(annotations: Annotations) -> list[str]:
    return [annotations.pictures.name(i) for i in range(len(annotations))]


def _look(path: str) -> PictureFacts:
    try:
        pixels = read_image(Path(path))
    except UnreadablePicture as error:
        return PictureFacts(fault=error.fault)
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
    digest.update(repr(pixels.shape).encode())
    return PictureFacts(pixels.shape[0], pixels.shape[1], digest.digest())


def _compare_sizes(
    names: Sequence[str], sizes: np.ndarray, facts: Sequence[PictureFacts], problems: Problems
) -> None:
    for name, said, (height, width, _, fault) in zip(names, sizes.tolist(), facts, strict=True):
        if fault:
            problems.add(f"pictures cannot be used, each of which {fault}", name)
        elif [height, width] != said:
            where = f"{name}: {width} x {height}, not {said[1]} x {said[0]}"
            problems.add("pictures have another size than their annotations say", where, name)


def _find_copies(
    split: str,
    names: Sequence[str],
    facts: Sequence[PictureFacts],
    owners: dict[bytes, tuple[str, str]],
    problems: Problems,
) -> None:
    """Pictures with the same pixels as an earlier one; `owners` has the first of each."""
    for name, picture in zip(names, facts, strict=True):
        if picture.fault:
            continue
        owner, first = owners.setdefault(picture.digest, (split, name))
        if (owner, first) != (split, name):
            here = owner == split
            kind = "of the same split" if here else f"of {owner}: a leak between the splits"
            problems.add(f"pictures equal another one {kind}", f"{name} = {first}", name)
