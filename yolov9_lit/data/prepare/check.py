"""Find what is wrong with a data set: all annotations are judged, every image is decoded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.category_entries import difference
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import load_coco
from yolov9_lit.data.coco.judge import Judged, judge
from yolov9_lit.data.coco.layout import Split
from yolov9_lit.data.coco.reader import pack
from yolov9_lit.data.images import has_image_ending
from yolov9_lit.data.prepare.scan import ImageFacts, note_faults, scan
from yolov9_lit.errors import counted
from yolov9_lit.files import visible_files
from yolov9_lit.memory import no_garbage_collection

_DARK = 16  # Of 256; the upper 8 of 16 bits are this dark where cameras fill 12.


class SplitReport(NamedTuple):
    """What was found in a split; `facts` has an entry for each of its images."""

    split: Split
    annotations: Annotations
    facts: list[ImageFacts]
    faults: Faults

    def areas(self) -> np.ndarray:
        """Return the areas of the boxes in pixels, crowds left out."""
        boxes = self.annotations.boxes[~self.annotations.crowd]
        return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def count_boxes(reports: Sequence[SplitReport]) -> pd.DataFrame:
    """Count the boxes of each class (row) in each split (column), the most frequent first."""
    counts: dict[str, Counter[str]] = {}
    for report in reports:
        data = report.annotations
        boxes = np.bincount(data.labels[~data.crowd], minlength=data.num_classes)
        counts[report.split.name] = Counter()
        for name, count in zip(data.class_names, boxes.tolist(), strict=True):
            counts[report.split.name][name] += count
    frame = pd.DataFrame(counts).fillna(0).astype(int)
    return frame.iloc[np.argsort(-frame.sum(axis=1), kind="stable")]


def check_splits(
    splits: Sequence[Split], *, workers: int, masks: bool = False
) -> list[SplitReport]:
    """Check one split after the other; a report also compares with the splits before it.

    Args:
        splits: to check.
        workers: processes that decode the images.
        masks: whether objects without an outline are a fault.

    Raises:
        UserError: a split's file or folder is missing or has no image that can be used.
    """
    reports: list[SplitReport] = []
    owners: dict[bytes, tuple[str, str]] = {}
    named: set[str] = set()
    for split in splits:
        annotations, faults = _read(split, named, masks)
        facts = list(scan(annotations, workers))
        names = [
            os.path.relpath(annotations.images.name(i), split.images)
            for i in range(len(annotations))
        ]
        note_faults(names, annotations.sizes, facts, faults)
        _find_copies(split.name, names, facts, owners, faults)
        for name, image in zip(names, facts, strict=True):
            if image.brightest < _DARK and not image.fault:
                faults.add(Fault.IMAGE_DARK, name, name)
        first = reports[0].annotations if reports else annotations
        if differing := difference(dict(first.categories), dict(annotations.categories)):
            faults.add(Fault.CATEGORIES_DIFFER, f"{split.name}: {differing}")
        if first.layout != annotations.layout:
            faults.add(Fault.LAYOUTS_DIFFER, split.name)
        single = annotations.labels[~annotations.crowd]
        if not len(single):
            detail = counted(len(annotations.crowd), "region") + " of crowds"
            faults.add(Fault.SPLIT_BOXLESS, split.name, detail=detail)
        if empty := annotations.num_classes - len(set(single.tolist())):
            faults.notes[Note.CATEGORIES_EMPTY] = empty
        reports.append(SplitReport(split, annotations, facts, faults))
    for report in reports:  # Splits may share a folder: now the images of all are known.
        if unnamed := len(_images_in(report.split.images) - named):
            report.faults.notes[Note.IMAGES_UNNAMED] = unnamed
    return reports


@no_garbage_collection()
def _read(split: Split, named: set[str], masks: bool) -> tuple[Annotations, Faults]:
    """Read the annotations of a split; add the paths of all images in its file to `named`."""
    content = load_coco(split.annotations)
    names = (entry.get("file_name") for entry in content.images)
    named.update(_path(split.images, name) for name in names if isinstance(name, str))
    judged = judge(content, split.images)
    _note_outlines(judged, masks)
    return pack(judged), judged.faults


def _note_outlines(judged: Judged, masks: bool) -> None:
    """Tell of objects without an outline: faults where masks are wanted, else where others have."""
    sound, images = judged.sound, [*judged.images.values()]
    bare = np.diff(sound.polygons.object_offsets) == 0
    missing = np.flatnonzero(bare & ~sound.crowd).tolist()
    if not masks:
        if missing and not bare.all():
            judged.faults.notes[Note.OUTLINE_NONE] = len(missing)
        return
    for k in missing:
        sound.tell(k, Fault.OUTLINE_NONE, judged.entries, images, judged.faults)


def _images_in(folder: Path) -> set[str]:
    return {os.path.normpath(path) for path in visible_files(folder) if has_image_ending(path)}


def _path(folder: str | Path, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))


def _find_copies(
    split: str,
    names: Sequence[str],
    facts: Sequence[ImageFacts],
    owners: dict[bytes, tuple[str, str]],
    faults: Faults,
) -> None:
    """Add images with the same pixels as an earlier one; `owners` has the first of each."""
    for name, image in zip(names, facts, strict=True):
        if image.fault:
            continue
        owner, first = owners.setdefault(image.digest, (split, name))
        if (owner, first) != (split, name):
            fault = Fault.IMAGE_COPY if owner == split else Fault.IMAGE_LEAK
            faults.add(fault, f"{name} = {first}", name, detail=owner)
