"""Training on data in other formats than COCO's where they lie.

The loaders read COCO's format, so annotation files in it are written to a cache; images are read
from where they are.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yolov9_lit.checks import existing_folder
from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.coco.judge import Judged
from yolov9_lit.data.coco.writer import annotation_path, coco_content
from yolov9_lit.data.prepare.formats.source import IDS_FILE, SPLITS, SourceFolder, read_splits
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_folder, write_json

log = logging.getLogger(__name__)

_VERSION = 11  # Part of the cache's key; grows when what is written changes.
_FAULTS = "faults.json"


def annotate_in_place(
    root: Path,
    source: Callable[[Path, Faults], SourceFolder],
    cache: str | Path,
    *,
    strict: bool = False,
) -> Path:
    """Write COCO-format annotations of a data set, unless they are there; return their folder.

    The folder has `annotations/instances_{train,val,test}.json`, in which images are named by their
    whole paths; a data set without a test split is tested on val. Its `ids.json`, laid into the
    data set's folder, keeps the ids when images are added. The folder belongs to the state that the
    data set is in: a changed label or image leads to another one.

    Args:
        root: the data set's folder.
        source: how its format is read.
        cache: the folder of all such folders.
        strict: refuse a data set with faults, which otherwise are left out or clipped.

    Raises:
        UserError: `root` is no data set of its format, lacks a train or val split or, if `strict`,
            has faults; or the cache cannot be written.
    """
    root = existing_folder("data.root", root.absolute())
    faults = Faults(root)
    listed = source(root, faults)
    folder = Path(cache).expanduser() / f"{root.name}-{_state(root, listed, faults)}"
    if folder.is_dir():
        faults = Faults.from_json(root, json.loads((folder / _FAULTS).read_bytes()))
    else:
        log.info("Reading %s once, into %s", root, folder)
        _write(folder, listed, faults)
    faults.raise_or_warn(strict=strict)
    log.info("The ids of %s's images and classes are in %s", root, folder / IDS_FILE)
    return folder


def _state(root: Path, source: SourceFolder, listing: Faults) -> str:
    """Tell one state of a data set from another by its files' names, sizes and times.

    What its listing told is part of it: other files than its own may be at fault.
    """
    begin = f"{_VERSION} {type(source).__name__} {source.settings} {root} {listing.found}"
    digest = hashlib.sha256(os.fsencode(begin))
    for path in source.files():
        try:
            status = path.stat()
            digest.update(os.fsencode(f"\n{path} {status.st_size} {status.st_mtime_ns}"))
        except (OSError, ValueError):  # It is not there, or cannot be.
            digest.update(os.fsencode(f"\n{path} -"))
    return digest.hexdigest()[:16]


def _write(folder: Path, source: SourceFolder, faults: Faults) -> None:
    splits = read_splits(source)
    for split in ("train", "val"):
        if split not in splits:
            raise UserError(
                f"{faults.source} has no {split} split, and training needs one: name its images in "
                f"data.yaml under {split} (YOLO) or in ImageSets/Main/{split}.txt (VOC), or add "
                "its folder (VisDrone, Roboflow) or subset (CVAT)."
            )
    try:
        with atomic_folder(folder) as draft:
            for split in SPLITS:
                shown = split if split in splits else "val"
                judged = splits[shown]
                content = coco_content(judged, judged.folder)
                content["faults"] = Counter(f.sentence for f in faults.found if f.split == shown)
                write_json(annotation_path(draft, split), content)
            write_json(draft / _FAULTS, faults.to_json())
            write_json(draft / IDS_FILE, _ids(splits))
    except OSError as error:
        if not folder.is_dir():  # Otherwise another process was first.
            raise UserError(
                f"{folder} cannot be written ({error}): make room on its disk, or set "
                "YOLOV9_LIT_DATA to another folder."
            ) from error


def _ids(splits: Mapping[str, Judged]) -> dict[str, Any]:
    """Return the content of `ids.json`."""
    names = next(iter(splits.values())).names
    images = {
        split: {entry["file_name"]: image_id for image_id, entry in judged.images.items()}
        for split, judged in splits.items()
    }
    return {"categories": {name: i for i, name in names.items()}, "images": images}
