"""Reading YOLO data sets: `data.yaml`, images, and a text file of objects for each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from yolov9_lit.data.coco.problems import Problems
from yolov9_lit.data.images import IMAGE_ENDINGS, image_size
from yolov9_lit.data.prepare.formats.source import (
    SPLITS,
    SourceData,
    SourceImage,
    SourceObject,
    clipped,
    complete,
    image_ids,
    read_ids,
)
from yolov9_lit.errors import UserError

_LARGEST_FRACTION = 1.5  # Fractions a bit outside 0..1 are clipped; pixels are refused.


class YoloFolder:
    """The data set that `src/data.yaml` describes; see `SourceFolder`.

    The entries train, val and test are a folder, a list file of images or a list of these.
    Labels lie in `labels` where an image's path has `images`, or beside it; a line is
    `class cx cy w h` or `class x1 y1 x2 y2 ...` in fractions of the image. An image without a
    label file has no objects; keypoints after a box are passed over. Category ids are the class
    indices plus 1, unless `ids.json` says otherwise.
    """

    def __init__(self, src: Path, problems: Problems) -> None:
        """List the images.

        Args:
            src: folder with data.yaml.
            problems: given what is wrong with single items.

        Raises:
            UserError: data.yaml or what it names is missing or malformed.
        """
        self.src = src
        self.problems = problems
        self._lists = [src / "data.yaml"]
        self._config, self._names = _read_config(src / "data.yaml")
        self._images = {split: self._list(split) for split in SPLITS if self._config.get(split)}
        if not any(self._images.values()):
            raise UserError(f"{src / 'data.yaml'} names no images under train, val or test")

    def files(self) -> Iterator[Path]:
        """The files that make it what it is."""
        yield from self._lists
        yield self.src / "ids.json"
        for images in self._images.values():
            for path in images.values():
                yield from (path, _label_path(path))

    def read(self) -> SourceData:
        """All of it; see `SourceFolder`."""
        known = read_ids(self.src)
        ids = {index: index + 1 for index in self._names}
        names = set(self._names.values())
        if len(names) == len(ids) and names <= set(known.categories):
            ids = {index: known.categories[name] for index, name in self._names.items()}
        splits = {}
        for split, paths in self._images.items():
            self.problems.split = split
            numbers = image_ids(paths, known.images.get(split, {}))
            found = (self._image(i, name, paths[name], ids) for name, i in numbers.items())
            splits[split] = [image for image in found if image]
        categories = {ids[index]: name for index, name in self._names.items()}
        return complete(self.src, SourceData(categories, splits))

    def _list(self, split: str) -> dict[str, Path]:
        """The images of a split by their names: paths from the folder that all lie in."""
        self.problems.split = split
        entries = self._config[split]
        places = [
            self._place(str(e)) for e in (entries if isinstance(entries, list) else [entries])
        ]
        paths: set[Path] = set()
        for place in places:
            paths.update(self._folder(place) if place.is_dir() else self._list_file(place))
        base = places[0]
        if len(places) > 1 or not base.is_dir():
            base = Path(os.path.commonpath([path.parent for path in paths] or [self.src]))
        return {path.relative_to(base).as_posix(): path for path in sorted(paths)}

    def _place(self, entry: str) -> Path:
        """The folder or list file of an entry.

        Some exporters write `../train/images` for `train/images`; the former is tried first.
        """
        base = self.src / str(self._config.get("path") or ".")
        candidates = [base / entry, self.src / entry, self.src / entry.removeprefix("../")]
        place = next((path for path in candidates if path.exists()), None)
        if place is None:
            named = f"named in {self.src / 'data.yaml'}"
            raise UserError(f"{candidates[0]}, {named}, does not exist; mend either")
        return Path(os.path.abspath(place))

    def _list_file(self, place: Path) -> Iterator[Path]:
        self._lists.append(place)
        base = self.src / str(self._config.get("path") or ".")
        for line in filter(None, map(str.strip, _read_text(place).splitlines())):
            options = (place.parent / line, base / line)
            image = next((path for path in options if path.is_file()), None)
            if image is None:
                self.problems.add("listed images are missing and are left out", f"{line}")
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
                    self.problems.add(
                        "label files have no image and are passed over", self._short(label)
                    )
        return images

    def _image(
        self, image_id: int, name: str, path: Path, ids: dict[int, int]
    ) -> SourceImage | None:
        size = image_size(path)
        if size is None:
            self.problems.add("images cannot be read and are left out", self._short(path))
            return None
        labels = _label_path(path)
        try:
            lines = labels.read_text(encoding="utf-8-sig").splitlines() if labels.is_file() else []
        except (OSError, UnicodeError):
            self.problems.add("label files cannot be read: no objects", self._short(labels))
            lines = []
        objects = []
        for number, line in enumerate(lines, start=1):
            where = f"{self._short(labels)}:{number}"
            entry = self._object(line.split(), size, ids, where) if line.strip() else None
            entry = entry and clipped(entry, *size, where, self.problems)
            if entry:
                objects.append(entry)
        return SourceImage(image_id, path, name, *size, objects)

    def _object(
        self, texts: Sequence[str], size: tuple[int, int], ids: dict[int, int], where: str
    ) -> SourceObject | None:
        try:
            index, *values = map(float, texts)
        except ValueError:
            index, values = math.nan, []
        if "kpt_shape" in self._config:  # Keypoints follow the box.
            values = values[:4]
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            self.problems.add("lines are no class and 4, 6 or more numbers: left out", where)
            return None
        if index not in ids:
            self.problems.add("lines have a class that names lacks and are left out", where)
            return None
        if not all(map(math.isfinite, values)):
            self.problems.add("lines have numbers that are not finite and are left out", where)
            return None
        if max(map(abs, values)) > _LARGEST_FRACTION:
            self.problems.add("lines are not in fractions of the image and are left out", where)
            return None
        height, width = size
        pixels = [value * (height if i % 2 else width) for i, value in enumerate(values)]
        category_id = ids[int(index)]
        if len(pixels) == 4:
            x, y, w, h = pixels
            return SourceObject(category_id, (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        xs, ys = pixels[::2], pixels[1::2]
        return SourceObject(
            category_id, (min(xs), min(ys), max(xs), max(ys)), polygons=(tuple(pixels),)
        )

    def _short(self, path: Path) -> str:
        return os.path.relpath(path, self.src)


def _read_config(path: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """The content of data.yaml and its class names by index."""
    try:
        config = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())})") from error
    names = config.get("names") if isinstance(config, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(i, int) for i in names):
        raise UserError(f"{path} lacks names: write a list, or a mapping from index to name")
    return config, {index: str(name) for index, name in names.items()}


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); check the data set") from error


def _label_path(image: Path) -> Path:
    """The label file: `labels` for the last `images` in the path, or beside the image."""
    beside = image.with_suffix(".txt")
    parts = list(beside.parts)
    if "images" not in parts:
        return beside
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    apart = Path(*parts)
    return beside if beside.is_file() and not apart.is_file() else apart
