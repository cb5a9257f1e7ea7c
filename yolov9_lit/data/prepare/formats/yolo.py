"""Reading YOLO data sets: `data.yaml`, images, and a text file of objects for each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from yolov9_lit.data.coco.annotation_entries import WHERE
from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.images import IMAGE_ENDINGS
from yolov9_lit.data.prepare.formats.source import (
    IDS_FILE,
    SPLITS,
    as_coco,
    image_ids,
    read_ids,
    read_text,
)
from yolov9_lit.errors import UserError

_LARGEST_FRACTION = 1.5  # Fractions a bit outside 0..1 are clipped; pixels are refused.


class YoloFolder:
    """The data set that `src/data.yaml` describes; a `SourceFolder`.

    The entries train, val and test are a folder, a list file of images or a list of these.
    Labels lie in `labels` where an image's path has `images`, or beside it; a line is
    `class cx cy w h` or `class x1 y1 x2 y2 ...` in fractions of the image. An image without a
    label file has no objects; keypoints after a box are passed over. Category ids are the class
    indices plus 1, unless `ids.json` says otherwise.
    """

    def __init__(self, src: Path, faults: Faults) -> None:
        """List the images.

        Args:
            src: folder with data.yaml.
            faults: what is wrong with single items is added.

        Raises:
            UserError: data.yaml or what it names is missing or malformed.
        """
        self.src = src
        self.faults = faults
        self._yaml = src / "data.yaml"
        self._lists: list[Path] = []
        self._config, self._names = _read_config(self._yaml)
        self._bases: dict[str, Path] = {}
        self._images = {split: self._list(split) for split in SPLITS if self._config.get(split)}
        if not any(self._images.values()):
            raise UserError(f"{self._yaml} names no images under train, val or test: name them.")

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is."""
        yield from (self._yaml, *self._lists, self.src / IDS_FILE)
        for split, names in self._images.items():
            for name in names:
                yield from (self._bases[split] / name, _label_path(self._bases[split] / name))

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield the splits; see `SourceFolder`."""
        known = read_ids(self.src)
        ids = {index: index + 1 for index in self._names}
        names = set(self._names.values())
        if len(names) == len(ids) and names <= set(known.categories):
            ids = {index: known.categories[name] for index, name in self._names.items()}
        categories = {ids[index]: name for index, name in self._names.items()}
        for split, images in self._images.items():
            self.faults.split = split
            numbers = image_ids(images, known.images.get(split, {}))
            base = self._bases[split]
            objects = partial(self._objects, base, ids)
            path = self._yaml.with_name(f"data.yaml:{split}")
            content = as_coco(path, categories, numbers, base, objects, self.faults)
            yield split, content, base

    def _list(self, split: str) -> list[str]:
        """Return the names of a split's images: paths from the folder that all lie in."""
        self.faults.split = split
        entries = self._config[split]
        entries = entries if isinstance(entries, list) else [entries]
        places = [self._place(str(entry)) for entry in entries]
        paths: set[Path] = set()
        for place in places:
            paths.update(self._folder(place) if place.is_dir() else self._list_file(place))
        base = places[0]
        if len(places) > 1 or not base.is_dir():
            base = Path(os.path.commonpath([path.parent for path in paths] or [self.src]))
        self._bases[split] = base
        return [path.relative_to(base).as_posix() for path in sorted(paths)]

    def _place(self, entry: str) -> Path:
        """Return the folder or list file of an entry.

        Some exporters write `../train/images` for `train/images`; the former is tried first.
        """
        candidates = [self._root / entry, self.src / entry, self.src / entry.removeprefix("../")]
        place = next((path for path in candidates if path.exists()), None)
        if place is None:
            raise UserError(f"{candidates[0]}, named in {self._yaml}, does not exist: mend either.")
        return Path(os.path.abspath(place))

    @property
    def _root(self) -> Path:
        """The folder that data.yaml says its paths start from."""
        return self.src / str(self._config.get("path") or ".")

    def _list_file(self, place: Path) -> Iterator[Path]:
        self._lists.append(place)
        for line in filter(None, map(str.strip, read_text(place).splitlines())):
            options = (place.parent / line, self._root / line)
            image = next((path for path in options if path.is_file()), None)
            if image is None:
                self.faults.add(Fault.LISTED_MISSING, line)
            else:
                yield Path(os.path.abspath(image))

    def _folder(self, folder: Path) -> list[Path]:
        files = sorted(folder.rglob("*"))
        images = [path for path in files if path.suffix.lower() in IMAGE_ENDINGS]
        labels = _label_path(folder / "any").parent
        if labels != folder:
            known = {_label_path(path) for path in images}
            for label in sorted(labels.rglob("*.txt")):
                if label not in known and label.name != "classes.txt":
                    self.faults.add(Fault.LABELS_WITHOUT_IMAGE, self._short(label))
        return images

    def _objects(
        self, base: Path, ids: Mapping[int, int], name: str, size: tuple[int, int]
    ) -> Iterator[Entry]:
        labels = _label_path(base / name)
        try:
            lines = labels.read_text(encoding="utf-8-sig").splitlines() if labels.is_file() else []
        except (OSError, UnicodeError):
            self.faults.add(Fault.LABELS_UNREADABLE, self._short(labels))
            return
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{self._short(labels)}:{number}"
            entry = self._object(line.split(), size, ids)
            if isinstance(entry, Fault):
                self.faults.add(entry, where)
            else:
                yield entry | {WHERE: where}

    def _object(
        self, texts: Sequence[str], size: tuple[int, int], ids: Mapping[int, int]
    ) -> Entry | Fault:
        """Return the annotation of a line, or what is wrong with it."""
        try:
            index, *values = map(float, texts)
        except ValueError:
            return Fault.LINE_FORM
        if "kpt_shape" in self._config:  # Keypoints follow the box.
            values = values[:4]
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            return Fault.LINE_FORM
        if index not in ids:
            return Fault.LINE_CLASS
        if not all(map(math.isfinite, values)):
            return Fault.LINE_INFINITE
        if max(map(abs, values)) > _LARGEST_FRACTION:
            return Fault.LINE_PIXELS
        height, width = size
        pixels = [value * (height if i % 2 else width) for i, value in enumerate(values)]
        category = {"category_id": ids[int(index)]}
        if len(pixels) == 4:
            x, y, w, h = pixels
            return category | {"bbox": [x - w / 2, y - h / 2, w, h]}
        xs, ys = pixels[::2], pixels[1::2]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        return category | {"bbox": box, "segmentation": [pixels]}

    def _short(self, path: Path) -> str:
        return os.path.relpath(path, self.src)


def _read_config(path: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """Read data.yaml: its content, and its class names by index."""
    try:
        config = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())}): mend it.") from error
    names = config.get("names") if isinstance(config, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(i, int) for i in names):
        raise UserError(f"{path} lacks names: write a list, or a mapping from index to name.")
    return config, {index: str(name) for index, name in names.items()}


def _label_path(image: Path) -> Path:
    """Return the label file: `labels` for the last `images` in the path, or beside the image."""
    beside = image.with_suffix(".txt")
    parts = list(beside.parts)
    if "images" not in parts:
        return beside
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    apart = Path(*parts)
    return beside if beside.is_file() and not apart.is_file() else apart
