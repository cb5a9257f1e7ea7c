"""The embedded data set: coloured shapes drawn on first use, so that a first run needs no download.

Four kinds of shapes, each around its own hue, 1 to 4 an image, over a gradient with texture and
noise. It is easy on purpose: a small model learns it on a CPU within minutes.
"""

from __future__ import annotations

import colorsys
import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolov9_lit.checks import existing_folder
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_folder

_MARKER = "shapes.json"
_VERSION = 1  # Part of the marker; grows when the drawing changes.
_SUPERSAMPLING = 4
_FIXED_POINT_BITS = 4
_RADIUS = (0.15, 0.26)  # Of the circumscribed circle, as a share of the image's side.
_MAX_OVERLAP = 0.1  # Of two shapes' boxes, as a share of the smaller one.
_PLACEMENT_TRIES = 30
_JPEG_QUALITY = 92


class _Kind(NamedTuple):
    """A kind of shape; corners lie on the circle at equal angles, `inner` ones in between."""

    category_id: int
    name: str
    corners: int
    hue: float
    inner: float | None = None


# The ids have gaps, as those of COCO do.
_KINDS = (
    _Kind(1, "circle", 48, 0.0),
    _Kind(3, "triangle", 3, 0.25),
    _Kind(7, "square", 4, 0.5),
    _Kind(12, "star", 5, 0.75, inner=0.42),
)


class _Shape(NamedTuple):
    kind: _Kind
    corners: np.ndarray
    colour: np.ndarray

    @property
    def box(self) -> np.ndarray:
        return np.concatenate([self.corners.min(axis=0), self.corners.max(axis=0)])


def make_shapes(
    root: Path,
    *,
    train: int = 160,
    val: int = 48,
    image_size: int = 160,
    seed: int = 0,
    place: str | Path | None = None,
) -> Path:
    """Draw the data set into `root` unless it is there, and return `root`.

    The layout is COCO's: `train2017/`, `val2017/` with JPEG images of (image_size, image_size)
    pixels and `annotations/instances_{train,val}2017.json` with polygons and tight boxes. Equal
    parameters give equal annotations. The folder appears whole or not at all, also when several
    processes start at once.

    Args:
        root: the folder.
        train: number of training images.
        val: number of validation images.
        image_size: side of the images in pixels.
        seed: of what is drawn.
        place: the only folder to draw into: whoever names another one means data that are there.

    Raises:
        UserError: `root` is not there and not `place`, holds something else, or cannot be written.
    """
    wanted = {
        "version": _VERSION, "train": train, "val": val, "image_size": image_size, "seed": seed
    }  # fmt: skip
    if place is not None and root.absolute() != Path(place).expanduser().absolute():
        hint = "give its format too (data=coco, data=yolo, data=voc), or leave out data.root."
        existing_folder("data.root", root, hint)
    if _is_complete(root, wanted):
        return root
    try:
        with atomic_folder(root) as draft:
            for index, (split, count) in enumerate((("train2017", train), ("val2017", val))):
                _write_split(draft, split, count, image_size, (seed, index))
            (draft / _MARKER).write_text(json.dumps(wanted))
    except OSError as error:  # Another process was first, or nobody can write here.
        if not _is_complete(root, wanted):
            raise UserError(
                f"{root} cannot be written ({error}): choose another folder."
            ) from error
    return root


def _is_complete(root: Path, wanted: dict[str, int]) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    marker = root / _MARKER
    if not marker.is_file():
        raise UserError(f"{root} exists and is not a shapes data set: choose another folder.")
    if json.loads(marker.read_text()) != wanted:
        raise UserError(
            f"{root} holds shapes of other parameters ({marker.read_text()}): "
            "delete it or choose another folder."
        )
    return True


def _write_split(root: Path, split: str, count: int, size: int, seeds: tuple[int, int]) -> None:
    (root / split).mkdir()
    (root / "annotations").mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, count + 1):
        rng = np.random.default_rng((*seeds, image_id))
        shapes = _place_shapes(rng, size)
        name = f"{image_id:06d}.jpg"
        _, encoded = cv2.imencode(
            ".jpg", _draw(rng, shapes, size), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        )
        (root / split / name).write_bytes(encoded.tobytes())
        images.append({"id": image_id, "file_name": name, "height": size, "width": size})
        for shape in shapes:
            ids = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append(ids | _annotation(shape))
    content = {
        "info": {"description": "Rendered shapes of yolov9_lit"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": kind.category_id, "name": kind.name} for kind in _KINDS],
    }
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def _annotation(shape: _Shape) -> dict[str, Any]:
    x, y = shape.corners.T
    area = abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
    left, top, right, bottom = (float(side) for side in shape.box)
    return {
        "category_id": shape.kind.category_id,
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "area": round(area, 2),
        "iscrowd": 0,
        "segmentation": [[float(value) for value in shape.corners.ravel()]],
    }


def _place_shapes(rng: np.random.Generator, size: int) -> list[_Shape]:
    """Place one to four shapes wholly inside the image; later ones may cover earlier ones a bit."""
    shapes: list[_Shape] = []
    wanted = int(rng.integers(1, 5))
    for _ in range(_PLACEMENT_TRIES):
        shape = _random_shape(rng, size)
        if all(_overlap(shape.box, other.box) <= _MAX_OVERLAP for other in shapes):
            shapes.append(shape)
        if len(shapes) == wanted:
            break
    return shapes


def _random_shape(rng: np.random.Generator, size: int) -> _Shape:
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    radius = rng.uniform(*_RADIUS) * size
    centre = rng.uniform(radius + 1, size - radius - 1, size=2)
    radii = np.full(kind.corners, radius)
    if kind.inner is not None:
        radii = np.tile([radius, radius * kind.inner], kind.corners)
    angles = rng.uniform(0, 2 * np.pi) + np.arange(len(radii)) * (2 * np.pi / len(radii))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = np.round(centre + directions * radii[:, None], 2)
    return _Shape(kind, corners, _colour(kind.hue + rng.uniform(-0.06, 0.06), rng))


def _colour(hue: float, rng: np.random.Generator) -> np.ndarray:
    """Return a strong colour, (3,) in 0..255."""
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.6, 1), rng.uniform(0.6, 1)))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    return float(np.prod(np.clip(sides, 0, None)) / smaller)


def _draw(rng: np.random.Generator, shapes: list[_Shape], size: int) -> np.ndarray:
    """Draw the image as OpenCV writes it: (size, size, 3) uint8 BGR."""
    canvas = _background(rng, size)
    for shape in shapes:
        cover = _coverage(shape.corners, size)[..., None]
        canvas += (shape.colour - canvas) * cover
    canvas += rng.normal(0, 5, size=canvas.shape)
    return np.ascontiguousarray(np.clip(canvas, 0, 255).round().astype(np.uint8)[..., ::-1])


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a dull gradient with a coarse texture: (size, size, 3) float around 0..255."""
    start, stop = (rng.uniform(60, 190) + rng.uniform(-15, 15, size=(2, 3))).clip(0, 255)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    mix = np.clip(0.5 + rows * np.sin(angle) + columns * np.cos(angle), 0, 1)[..., None]
    cells = int(rng.integers(4, 24))
    texture = cv2.resize(rng.normal(0, 12, size=(cells, cells)), (size, size))[..., None]
    return start + (stop - start) * mix + texture


def _coverage(corners: np.ndarray, size: int) -> np.ndarray:
    """Return the share of each pixel that a polygon covers: (size, size) float in 0..1."""
    large = np.zeros((size * _SUPERSAMPLING,) * 2, dtype=np.uint8)
    centres = corners * _SUPERSAMPLING - 0.5  # From pixel corners to OpenCV's pixel centres.
    fixed = np.round(centres * 2**_FIXED_POINT_BITS).astype(np.int32)
    cv2.fillPoly(large, [fixed], 255, shift=_FIXED_POINT_BITS)
    return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA) / 255.0
