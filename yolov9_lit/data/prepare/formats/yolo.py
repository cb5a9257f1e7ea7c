"""Reading YOLO data sets: a YAML file, images, and a text file of objects for each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from yolov9_lit.data.coco.annotation_entries import WHERE
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import CocoContent, Entry
from yolov9_lit.data.images import has_image_ending
from yolov9_lit.data.prepare.formats.source import (
    IDS_FILE,
    SPLITS,
    as_coco,
    image_ids,
    read_ids,
    read_text,
)
from yolov9_lit.data.prepare.formats.yolo_config import read_config
from yolov9_lit.data.prepare.formats.yolo_keypoints import keypoint_entries
from yolov9_lit.data.prepare.formats.yolo_labels import (
    Labels,
    is_label_file,
    parse_line,
    read_lines,
)
from yolov9_lit.data.prepare.formats.yolo_poses import Poses, find_poses
from yolov9_lit.errors import UserError
from yolov9_lit.files import visible_files

_NO_IMAGES = (
    *(".txt", ".json", ".xml", ".yaml", ".yml", ".csv", ".md", ".html", ".cache", ".npy"),
    *(".db", ".ini", ".py", ".ipynb", ".log"),
)
"""Endings of what is kept beside images; files with any other one may be meant as images."""


class YoloFolder:
    """The data set that `src/data.yaml`, or its only YAML file, describes; a `SourceFolder`.

    The entries train, val and test are a folder, an image, a list file of images or a list of
    these. An image without a label file has no objects; for where these lie and what they say, see
    `Labels` and `parse_line`. Category ids are the class indices plus 1, unless `ids.json` says
    otherwise.
    """

    settings: str = ""

    def __init__(self, src: Path, faults: Faults) -> None:
        """List the images.

        Args:
            src: folder of the data set.
            faults: what is wrong with single items is added.

        Raises:
            UserError: data.yaml or what it names is missing or malformed, or no training image has
                a label file.
        """
        self.src = src
        self.faults = faults
        self._lists: list[Path] = []
        self._labels = Labels()
        self._config = read_config(src, faults)
        self._bases: dict[str, Path] = {}
        self._images = {split: self._list(split) for split in SPLITS if self._config.entries(split)}
        if not any(self._images.values()):
            raise UserError(
                f"{self._config.path} names no images under train, val or test: name them."
            )
        self._require_labels()

    def files(self) -> Iterator[Path]:
        """Yield the files that make it what it is."""
        yield from (self._config.path, *self._lists, self.src / IDS_FILE)
        for split, names in self._images.items():
            for name in names:
                image = self._bases[split] / name
                yield from (image, self._labels.path(image))

    def read(self) -> Iterator[tuple[str, CocoContent, Path]]:
        """Yield the splits; see `SourceFolder`."""
        known = read_ids(self.src)
        classes = self._config.names
        ids = {index: index + 1 for index in classes}
        names = set(classes.values())
        if len(names) == len(ids) and names <= set(known.categories):
            ids = {index: known.categories[name] for index, name in classes.items()}
        stated = self._config.pose_shape
        told = keypoint_entries(self._config, self.faults)
        categories = [{"id": ids[i], "name": name} | told.get(i, {}) for i, name in classes.items()]
        poses = Poses(stated, find_poses(self._lines()) if stated is None else {})
        for split, images in self._images.items():
            self.faults.split = split
            numbers = image_ids(images, known.images.get(split, {}))
            base = self._bases[split]
            objects = partial(self._objects, base, ids, poses)
            path = self._config.path.with_name(f"{self._config.path.name}:{split}")
            content = as_coco(path, categories, numbers, base, objects, self.faults)
            yield split, content, base

    def _list(self, split: str) -> list[str]:
        """Return the names of a split's images: paths from the folder that all lie in."""
        self.faults.split = split
        places = [self._config.place(entry, self.faults) for entry in self._config.entries(split)]
        paths: set[Path] = set()
        for place in places:
            if place.is_dir():
                paths.update(self._folder(place))
                continue
            for path in (place,) if has_image_ending(place) else self._list_file(place):
                if path in paths:
                    self.faults.add(Fault.LISTED_REPEATED, self._short(path))
                paths.add(path)
        self._note_labels(sorted(paths))
        base = places[0]
        if len(places) > 1 or not base.is_dir():
            base = Path(os.path.commonpath([path.parent for path in paths] or [self.src]))
        self._bases[split] = base
        return [path.relative_to(base).as_posix() for path in sorted(paths)]

    def _list_file(self, place: Path) -> Iterator[Path]:
        self._lists.append(place)
        for line in filter(None, map(str.strip, read_text(place).splitlines())):
            folders = (place.parent, self._config.root, self.src)
            names = dict.fromkeys((line, line.replace("\\", "/")))  # Windows writes the former.
            options = (folder / name for name in names for folder in folders)
            image = next((path for path in options if os.path.isfile(path)), None)
            if image is None:
                self.faults.add(Fault.LISTED_MISSING, line)
            else:
                yield Path(os.path.abspath(image))

    def _folder(self, folder: Path) -> list[Path]:
        files = [*visible_files(folder)]
        images = [path for path in files if has_image_ending(path)]
        for path in files:
            if not has_image_ending(path) and path.suffix.lower() not in _NO_IMAGES:
                self.faults.add(Fault.FILE_ENDING, self._short(path))
        labels = self._labels.folder(folder)
        known = {self._labels.path(path) for path in images}
        known.update(path.with_suffix(".txt") for path in images)
        for label in visible_files(labels) if labels != folder else ():
            is_label = label.suffix.lower() == ".txt" and label.name != "classes.txt"
            if is_label and label not in known:
                self.faults.add(Fault.LABELS_WITHOUT_IMAGE, self._short(label))
        for path in files:  # Beside the images lists and descriptions may lie, too.
            if path not in known and is_label_file(path):
                self.faults.add(Fault.LABELS_WITHOUT_IMAGE, self._short(path))
        return images

    def _note_labels(self, images: Iterable[Path]) -> None:
        """Tell of images without a label file, with two of them, and with that of another."""
        taken: set[Path] = set()
        for image in images:
            labels, beside = self._labels.path(image), image.with_suffix(".txt")
            if beside.is_file() and labels.parent != beside.parent:
                self.faults.add(Fault.LABELS_TWICE, self._short(beside))
            if labels in taken:
                self.faults.add(Fault.LABELS_SHARED, self._short(image))
            elif os.path.lexists(labels):
                taken.add(labels)
            else:
                self.faults.notes[Note.UNLABELLED] += 1

    def _require_labels(self) -> None:
        names = self._images.get("train", [])
        paths = [self._labels.path(self._bases["train"] / name) for name in names]
        if paths and not any(path.is_file() for path in paths):
            raise UserError(
                f"No image of train has a label file, as {paths[0]} would be: give the labels that "
                "name, or mend train in the YAML file."
            )

    def _lines(self) -> Iterator[str]:
        """Yield the lines of all label files that can be read."""
        for split, names in self._images.items():
            for name in names:
                with suppress(OSError, UnicodeError):
                    yield from read_lines(self._labels.path(self._bases[split] / name))

    def _objects(
        self,
        base: Path,
        ids: Mapping[int, int],
        poses: Poses,
        name: str,
        size: tuple[int, int],
    ) -> Iterator[Entry]:
        labels = self._labels.path(base / name)
        try:
            lines = read_lines(labels)
        except (OSError, UnicodeError):
            self.faults.add(Fault.LABELS_UNREADABLE, self._short(labels))
            return
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{self._short(labels)}:{number}"
            entry = self._object(line, ids, poses, size)
            if isinstance(entry, Fault):
                self.faults.add(entry, where)
            else:
                yield entry | {WHERE: where}

    def _object(
        self, line: str, ids: Mapping[int, int], poses: Poses, size: tuple[int, int]
    ) -> Entry | Fault:
        numbers = len(line.split()) - 1
        reading = poses.reading(numbers)
        if isinstance(reading, Fault):
            return reading
        if reading:
            self.faults.notes[reading] += 1
        return parse_line(line, size, ids, poses.each(numbers))

    def _short(self, path: Path) -> str:
        return os.path.relpath(path, self.src)
