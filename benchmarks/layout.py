"""A data set laid out for every loader: COCO format and YOLO text beside each other."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple


class Layout(NamedTuple):
    """A folder with `images/`, `labels/` and `train.json`.

    Attributes:
        root: of the folder.
        class_names: by class of the labels.
    """

    root: Path
    class_names: tuple[str, ...]

    def forget_pages(self) -> None:
        """Have the system drop the images' content from its memory."""
        for path in (self.root / "images").iterdir():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)  # What is not written yet is kept.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def lay_out(annotation_file: Path, images: Path, root: Path, copies: int) -> Layout:
    """Copy images into `root` under several names, with their labels in both formats.

    Crowds are left out. In YOLO text an object is its first polygon, its box where it has none.

    Args:
        annotation_file: in COCO format.
        images: folder that its names start from.
        root: an empty folder.
        copies: of each image.
    """
    content = json.loads(annotation_file.read_bytes())
    objects = defaultdict(list)
    for entry in content["annotations"]:
        if not entry.get("iscrowd"):
            objects[entry["image_id"]].append(entry)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    classes = {category["id"]: i for i, category in enumerate(categories)}
    records: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for copy in range(copies):
        for image in content["images"]:
            source = images / image["file_name"]
            number = len(records["images"]) + 1
            name = f"{copy}-{image['id']}{source.suffix}"
            shutil.copyfile(source, root / "images" / name)
            lines = [
                _line(o, classes, image["width"], image["height"]) for o in objects[image["id"]]
            ]
            (root / "labels" / name).with_suffix(".txt").write_text("\n".join(lines))
            records["images"].append(image | {"id": number, "file_name": name})
            for entry in objects[image["id"]]:
                ids = {"id": len(records["annotations"]) + 1, "image_id": number}
                records["annotations"].append(entry | ids)
    (root / "train.json").write_text(json.dumps({**records, "categories": categories}))
    return Layout(root, tuple(str(category["name"]) for category in categories))


def _line(entry: dict[str, Any], classes: dict[int, int], width: int, height: int) -> str:
    x, y, w, h = entry["bbox"]
    points = [x, y, x + w, y, x + w, y + h, x, y + h]
    if isinstance(entry.get("segmentation"), list) and entry["segmentation"]:
        points = entry["segmentation"][0]
    sides = [width, height] * (len(points) // 2)
    numbers = [min(max(v / side, 0), 1) for v, side in zip(points, sides, strict=True)]
    return " ".join([str(classes[entry["category_id"]]), *(f"{number:.6f}" for number in numbers)])
