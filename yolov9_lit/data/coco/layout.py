"""Where COCO-format data sets keep their splits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)

_PREFIX = "instances_"


class Split(NamedTuple):
    """A part of a data set: its COCO-format file and the folder that its file names start from."""

    name: str
    annotations: Path
    images: Path


def find_splits(root: Path) -> list[Split]:
    """Find the splits of a folder in COCO's layout.

    `annotations/instances_NAME.json` goes with the images in `NAME/images`, `NAME`,
    `images/NAME` or `images`, whichever is there first. A file without images is passed over
    with a warning: COCO's annotations come for all splits at once.

    Raises:
        UserError: the folder has no split.
    """
    splits = []
    for file in sorted((root / "annotations").glob(f"{_PREFIX}*.json")):
        name = file.stem.removeprefix(_PREFIX)
        places = (f"{name}/images", name, f"images/{name}", "images")
        folder = next((root / p for p in places if (root / p).is_dir()), None)
        if folder:
            splits.append(Split(name, file, folder))
        else:
            log.warning("%s is passed over: %s has no folder %s", file, root, ", ".join(places))
    if not splits:
        raise UserError(
            f"{root} has no annotations/{_PREFIX}NAME.json with a folder of images, NAME or "
            "images/NAME: give the root of a data set in COCO format; one in YOLO's or VOC's is "
            "converted first with `python -m yolov9_lit.data convert`."
        )
    return splits
