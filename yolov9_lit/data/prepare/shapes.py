"""The embedded data sets: coloured shapes drawn on first use, so that a run needs no download.

By default four kinds of shapes, each around its own hue, 1 to 4 an image, over a gradient with
texture and noise: easy on purpose, a small model learns it on a CPU within minutes. The hard
scenery has twelve kinds whose hues overlap, small and large, that cover each other among clutter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolov9_lit.checks import existing_folder
from yolov9_lit.data.coco.writer import annotation_path
from yolov9_lit.data.prepare.scenery import SCENERIES, Scenery
from yolov9_lit.data.prepare.shape_drawing import KEYPOINTS, Shape, draw, place_shapes
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_folder, write_json

_MARKER = "shapes.json"
_VERSION = 2  # Part of the marker; grows when what is drawn or annotated changes.
_SAME_IMAGES = 1  # An earlier version, whose annotations alone were others: they had no keypoints.
_FIRST = "easy"  # The scenery of sets whose marker, older than the others, names none.
_JPEG_QUALITY = 92
_YEAR = "2017"
_SPLITS = (f"train{_YEAR}", f"val{_YEAR}")
_KEYPOINTS = {
    "keypoints": KEYPOINTS,
    "skeleton": [[5, i] for i in range(1, 5)],
    "sigmas": [0.08, 0.08, 0.08, 0.08, 0.05],
}
"""What the categories say of theirs."""


class _Scene(NamedTuple):
    """What is in an image, later shapes above earlier ones; `rng` draws the rest of it."""

    id: int
    name: str
    shapes: list[Shape]
    rng: np.random.Generator


def make_shapes(
    root: Path,
    *,
    train: int = 160,
    val: int = 48,
    image_size: int = 160,
    seed: int = 0,
    scenery: str = "easy",
    place: str | Path | None = None,
) -> Path:
    """Draw the data set into `root` unless it is there, and return `root`.

    The layout is COCO's: `train2017/`, `val2017/` with JPEG images of (image_size, image_size)
    pixels and `annotations/instances_{train,val}2017.json` with polygons, tight boxes and
    keypoints. Equal parameters give equal annotations. The folder appears whole or not at all, also
    when several processes start at once.

    Args:
        root: the folder.
        train: number of training images.
        val: number of validation images.
        image_size: side of the images in pixels.
        seed: of what is drawn.
        scenery: what is drawn, one of `SCENERIES`.
        place: the only folder to draw into: whoever names another one means data that are there.

    Raises:
        UserError: there is no such scenery; `root` is not there and not `place`, holds something
            else, or cannot be written.
    """
    if scenery not in SCENERIES:
        known = ", ".join(SCENERIES)
        raise UserError(f"data.prepare.scenery={scenery} is unknown: choose from {known}.")
    wanted: dict[str, Any] = {
        "version": _VERSION, "train": train, "val": val, "image_size": image_size, "seed": seed
    }  # fmt: skip
    if scenery != _FIRST:
        wanted["scenery"] = scenery
    if place is not None and root.absolute() != Path(place).expanduser().absolute():
        hint = "give its format too (data=coco, data=yolo, data=voc), or leave out data.root."
        existing_folder("data.root", root, hint)
    try:
        if _held(root) == wanted | {"version": _SAME_IMAGES}:
            _annotate(root, wanted)
        elif not _is_complete(root, wanted):
            with atomic_folder(root) as draft:
                _draw_images(draft, wanted)
                _annotate(draft, wanted)
    except OSError as error:  # Another process was first, or nobody can write here.
        if not _is_complete(root, wanted):
            raise UserError(
                f"{root} cannot be written ({error}): choose another folder."
            ) from error
    return root


def _is_complete(root: Path, wanted: Mapping[str, Any]) -> bool:
    held = _held(root)
    if held not in (None, wanted):
        raise UserError(
            f"{root} holds shapes of other parameters ({json.dumps(held)}): "
            "delete it or choose another folder."
        )
    return held is not None


def _held(root: Path) -> Any:
    """Return the marker of a folder; None where nothing is there."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    marker = root / _MARKER
    if not marker.is_file():
        raise UserError(f"{root} exists and is not a shapes data set: choose another folder.")
    return json.loads(marker.read_text())


def _scenery(wanted: Mapping[str, Any]) -> Scenery:
    return SCENERIES[wanted.get("scenery", _FIRST)]


def _scenes(wanted: Mapping[str, Any], split: int) -> Iterator[_Scene]:
    """Yield what is in the images of a split, by its number."""
    for image_id in range(1, wanted[_SPLITS[split].removesuffix(_YEAR)] + 1):
        rng = np.random.default_rng((wanted["seed"], split, image_id))
        shapes = place_shapes(rng, _scenery(wanted), wanted["image_size"])
        yield _Scene(image_id, f"{image_id:06d}.jpg", shapes, rng)


def _draw_images(root: Path, wanted: Mapping[str, Any]) -> None:
    for number, split in enumerate(_SPLITS):
        (root / split).mkdir()
        for scene in _scenes(wanted, number):
            image = draw(scene.rng, _scenery(wanted), scene.shapes, wanted["image_size"])
            _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            (root / split / scene.name).write_bytes(encoded.tobytes())


def _annotate(root: Path, wanted: Mapping[str, Any]) -> None:
    """Write the annotations of all splits, in place of earlier ones, and the marker."""
    size = wanted["image_size"]
    for number, split in enumerate(_SPLITS):
        scenes = [*_scenes(wanted, number)]
        annotations = [
            {"image_id": scene.id} | _annotation(shape, scene.shapes[i + 1 :])
            for scene in scenes
            for i, shape in enumerate(scene.shapes)
        ]
        content = {
            "info": {"description": "Rendered shapes of yolov9_lit"},
            "images": [
                {"id": scene.id, "file_name": scene.name, "height": size, "width": size}
                for scene in scenes
            ],
            "annotations": [{"id": i} | entry for i, entry in enumerate(annotations, start=1)],
            "categories": [
                {"id": kind.category_id, "name": kind.name} | _KEYPOINTS
                for kind in _scenery(wanted).kinds
            ],
        }
        write_json(annotation_path(root, split), content)
    write_json(root / _MARKER, wanted)


def _annotation(shape: Shape, above: Sequence[Shape]) -> dict[str, Any]:
    """Return the annotation of a shape, given those drawn after it."""
    x, y = shape.corners.T
    area = abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
    left, top, right, bottom = (float(side) for side in shape.box)
    points = shape.keypoints
    hidden = [any(other.covers(point) for other in above) for point in points]
    visible = zip(points.tolist(), hidden, strict=True)
    return {
        "category_id": shape.kind.category_id,
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "area": round(area, 2),
        "iscrowd": 0,
        "segmentation": [[float(value) for value in shape.corners.ravel()]],
        "num_keypoints": len(points),
        "keypoints": [value for (x, y), under in visible for value in (x, y, 1 if under else 2)],
    }
