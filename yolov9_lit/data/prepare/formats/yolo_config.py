"""What a YOLO data set's YAML file says: its class names, and where the images are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.prepare.formats.source import read_text
from yolov9_lit.errors import UserError

_NAME = "data.yaml"
_LISTS_OF_NAMES = ("classes.txt", "obj.names")  # As Label Studio and CVAT ("YOLO 1.1") export them.
_LEADING_OUT = re.compile(r"^(\.\./)+")
_NUMBER = re.compile("[0-9]{1,4}")  # Of keypoints: what is more is none.
_NOTHING = ("", "~", "null", "none")


class _Loader(yaml.BaseLoader):
    """Reads all values as text and refuses a key that is given twice, of which YAML drops one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node."""
        keys = set[str]()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in keys:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"in line {line} {key.value} is given for the second time")
            keys.add(key.value)
        return super().construct_mapping(node, deep)


class PoseShape(NamedTuple):
    """How many keypoints a line has behind its box, and numbers of each: two, or three.

    These are x, y and, where it is three, the visibility 0, 1 or 2.
    """

    keypoints: int
    each: int

    @property
    def numbers(self) -> int:
        """Return the numbers behind the class."""
        return 4 + self.keypoints * self.each


class YoloConfig(NamedTuple):
    """The content of the file; all of it is text, as it was written: `no` is no truth value.

    Attributes:
        path: the file.
        content: its entries.
        names: of the classes by index.
    """

    path: Path
    content: Mapping[str, Any]
    names: Mapping[int, str]

    def entries(self, key: str) -> list[str]:
        """Return the places under a key: one, a list or none."""
        given = self.content.get(key)
        listed = given if isinstance(given, list) else [given or ""]
        return [str(entry) for entry in listed if str(entry).lower() not in _NOTHING]

    def has(self, key: str) -> bool:
        """Tell whether something is given under a key, be it a mapping."""
        given = self.content.get(key)
        return bool(given) and (not isinstance(given, str) or given.lower() not in _NOTHING)

    @property
    def pose_shape(self) -> PoseShape | None:
        """Return what a pose's line has behind its class; None where no key tells it.

        Raises:
            UserError: `kpt_shape` is not the number of keypoints and 2 or 3.
        """
        if not self.has("kpt_shape"):
            return None
        match given := self.content["kpt_shape"]:
            case [str(count), "2" | "3" as each] if _NUMBER.fullmatch(count):
                return PoseShape(int(count), int(each))
        raise UserError(
            f"{self.path} has kpt_shape: {given}: give the number of keypoints and how many "
            "numbers each has, as [17, 3], or leave it out."
        )

    @property
    def root(self) -> Path:
        """Return the folder that it says its paths start from."""
        return self.path.parent.joinpath(*self.entries("path"))

    def place(self, entry: str, faults: Faults) -> Path:
        """Return the folder or list file of an entry.

        What lies in the data set's own folder goes before what lies outside: exporters write
        `../train/images` for `train/images`, and the paths of copies lead to the original.

        Raises:
            UserError: there is no such place.
        """
        src = self.path.parent
        names = dict.fromkeys((entry, entry.replace("\\", "/")))  # Windows writes the former.
        places = (
            place
            for name in names
            for place in (self.root / name, src / name, src / _LEADING_OUT.sub("", name))
        )
        candidates = [os.path.abspath(place) for place in places]
        there = [Path(path) for path in dict.fromkeys(candidates) if os.path.exists(path)]
        if not there:
            raise UserError(f"{candidates[0]}, named in {self.path}, does not exist: mend either.")
        own = [path for path in there if path.is_relative_to(os.path.abspath(src))]
        if own and own[0] != there[0]:
            faults.add(Fault.PLACE_OUTSIDE, f"{entry}: {own[0]}, not {there[0]}")
        return (own or there)[0]


def read_config(src: Path, faults: Faults) -> YoloConfig:
    """Read data.yaml, or the only YAML file of a folder.

    Raises:
        UserError: there is none or more than one, or it is malformed.
    """
    path = _find(src)
    try:
        content = yaml.load(read_text(path), Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())}): mend it.") from error
    names = dict(_names(content.get("names"))) if isinstance(content, dict) else {}
    if not names:
        raise UserError(f"{path} lacks names: write a list, or a mapping from index to name.")
    count = str(content.get("nc", len(names)))
    if count != str(len(names)):
        faults.add(Fault.CLASS_COUNT, f"nc: {count}, {len(names)} names")
    return YoloConfig(path, content, names)


def _find(src: Path) -> Path:
    there = sorted(path.name for path in src.iterdir() if path.suffix in (".yaml", ".yml"))
    if _NAME in there or len(there) == 1:
        return src / (_NAME if _NAME in there else there[0])
    listed = [name for name in _LISTS_OF_NAMES if (src / name).is_file()]
    names = f" with the names of {listed[0]}, train and val" if listed else ""
    found = f": write one{names}."
    if there:
        found = f" but {', '.join(there)}: give the one to read that name."
    raise UserError(f"{src} has no {_NAME}{found}")


def _names(given: object) -> Iterator[tuple[int, str]]:
    """Yield indices and names; nothing where one of them is no index or no text."""
    named = dict(enumerate(given)) if isinstance(given, list) else given
    if isinstance(named, dict) and all(isinstance(name, str) for name in named.values()):
        indices = [str(index) for index in named]
        if all(index.isascii() and index.isdecimal() for index in indices):
            yield from zip(map(int, indices), named.values(), strict=True)
