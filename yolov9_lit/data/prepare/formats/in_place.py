"""Training on VOC and YOLO data where they lie.

The metric and the loaders read COCO's format, so annotation files in it are written to a cache;
images are read from where they are.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from yolov9_lit.data.coco.problems import Problem, Problems
from yolov9_lit.data.coco.writer import annotation_path, coco_content
from yolov9_lit.data.prepare.formats.source import SourceData, SourceFolder
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_folder, write_json

log = logging.getLogger(__name__)

_VERSION = 2  # Part of the cache's key; grows when what is written changes.
_PROBLEMS = "problems.json"


def annotate_in_place(
    root: Path,
    source: Callable[[Path, Problems], SourceFolder],
    cache: str | Path,
    *,
    strict: bool = False,
) -> Path:
    """Writes COCO-format annotations of a data set, unless they are there; returns their folder.

    The folder has `annotations/instances_{train,val,test}.json`, whose images are named by their
    whole paths; a data set without a test split is tested on val. It belongs to the state that the
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
    root = root.absolute()
    if not root.is_dir():
        raise UserError(f"There is no data folder {root}: give data.root=DIR.")
    problems = Problems(root)
    listed = source(root, problems)
    folder = Path(cache).expanduser() / f"{root.name}-{_state(root, listed)}"
    if not folder.is_dir():
        log.info("Reading %s once, into %s", root, folder)
        _write(folder, listed.read(), problems, root)
    problems.found = [Problem(*p) for p in json.loads((folder / _PROBLEMS).read_bytes())]
    problems.raise_or_warn(strict=strict)
    return folder


def _state(root: Path, source: SourceFolder) -> str:
    """Tells one state of a data set from another by its files' names, sizes and times."""
    digest = hashlib.sha256(f"{_VERSION} {type(source).__name__} {root}".encode())
    for path in source.files():
        try:
            status = path.stat()
            digest.update(f"\n{path} {status.st_size} {status.st_mtime_ns}".encode())
        except FileNotFoundError:
            digest.update(f"\n{path} -".encode())
    return digest.hexdigest()[:16]


def _write(folder: Path, data: SourceData, problems: Problems, root: Path) -> None:
    for split in ("train", "val"):
        if split not in data.splits:
            raise UserError(
                f"{root} has no {split} split, and training needs one: name its images in "
                f"data.yaml under {split} (YOLO) or in ImageSets/Main/{split}.txt (VOC)"
            )
    try:
        with atomic_folder(folder) as draft:
            for split in ("train", "val", "test"):
                shown = split if split in data.splits else "val"
                content = coco_content(data.splits[shown], data.categories, lambda p: str(p.path))
                content["faults"] = Counter(p.kind for p in problems.found if p.split == shown)
                write_json(annotation_path(draft, split), content)
            write_json(draft / _PROBLEMS, problems.found)
    except OSError as error:
        if not folder.is_dir():  # Otherwise another process was first.
            raise UserError(f"{folder} cannot be written ({error}); free it") from error
