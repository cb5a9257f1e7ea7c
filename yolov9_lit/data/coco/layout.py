"""Where COCO-format data sets keep their splits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)

_PREFIX = "instances_"
_PREFIXES = (_PREFIX, "person_keypoints_")  # COCO's own; the second where the first is missing.
_EXPORTS = {
    "*/_annotations.coco.json": ".",  # Roboflow's; a folder a split, as below.
    "*/result.json": "images",  # Label Studio's
    "*/labels.json": "data",  # FiftyOne's
    "result.json": "images",
    "labels.json": "data",
}
"""Files that tools export COCO's format to, and where the images are from there."""


class Split(NamedTuple):
    """A part of a data set: its COCO-format file and the folder that its file names start from."""

    name: str
    annotations: Path
    images: Path


def find_splits(root: Path) -> list[Split]:
    """Find the splits of a folder in COCO's layout.

    `annotations/instances_NAME.json`, or `person_keypoints_NAME.json` where there is none of these,
    goes with the images in `NAME/images`, `NAME`, `images/NAME` or `images`, whichever is there
    first. A file without images is passed over with a warning: COCO's annotations come for all
    splits at once. Where there is none at all, the layouts of common tools' exports are looked for:
    `train/_annotations.coco.json`.

    Raises:
        UserError: the folder has no split.
    """
    splits: list[Split] = []
    for prefix in _PREFIXES:
        splits = splits or _named(root, prefix)
    if not splits:
        splits = _exported(root)
    if not splits:
        raise UserError(
            f"{root} has no annotations/{_PREFIX}NAME.json with a folder of images, NAME or "
            "images/NAME: give the root of a data set in COCO format; one in YOLO's, VOC's or "
            "VisDrone's is converted first with `python -m yolov9_lit.data convert`."
        )
    return splits


def _named(root: Path, prefix: str) -> list[Split]:
    """Find the splits whose annotation files begin with a prefix."""
    splits = []
    for file in sorted((root / "annotations").glob(f"{prefix}*.json")):
        name = file.stem.removeprefix(prefix)
        places = (f"{name}/images", name, f"images/{name}", "images")
        folder = next((root / p for p in places if (root / p).is_dir()), None)
        if folder:
            splits.append(Split(name, file, folder))
        else:
            log.warning("%s is passed over: %s has no folder %s", file, root, ", ".join(places))
    return splits


def _exported(root: Path) -> list[Split]:
    """Find what tools export; `valid` is val, a file in the root itself is named by its stem."""
    splits = []
    for pattern, images in _EXPORTS.items():
        for file in sorted(root.glob(pattern)):
            name = file.stem if file.parent == root else file.parent.name
            if (folder := file.parent / images).is_dir():
                splits.append(Split("val" if name == "valid" else name, file, folder))
    return splits


def settings_of(root: Path, split: str) -> tuple[str, str]:
    """Return what to give for a split's annotations and images: those of that name, or the only.

    Where none is found, or what is found is another split's, words that stand for them.
    """
    try:
        splits = find_splits(root)
    except UserError:
        splits = []
    fitting = [s for s in splits if s.name.startswith(split)]
    fitting = fitting or [s for s in splits if not s.name.startswith(("train", "val", "test"))]
    if len(fitting) != 1:
        return "FILE", "FOLDER"
    annotations, images = (path.relative_to(root).as_posix() for path in fitting[0][1:])
    return annotations, images
