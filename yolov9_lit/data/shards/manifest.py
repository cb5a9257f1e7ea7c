"""The table of contents of a folder of shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from yolov9_lit.data.annotations import Category
from yolov9_lit.data.coco.keypoint_layout import layout_from_json
from yolov9_lit.errors import UserError
from yolov9_lit.files import write_json
from yolov9_lit.structures import KeypointLayout

MANIFEST = "manifest.json"
ANNOTATIONS = "annotations.json"
_VERSION = 3


class FileSum(NamedTuple):
    """Length and SHA-256 of a file."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileSum:
        """Read a file."""
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class Manifest:
    """What is in the folder.

    Attributes:
        plan: what the shards were made from and how.
        categories: sorted by id.
        keypoints: what those of the objects are; None where they have none.
        shards: number of images of each shard by its file's name, in the order of the images.
        files: length and checksum of each file by its name, shards included.
        faults: how many of each kind the data set had that the shards were made from.
    """

    plan: Mapping[str, Any]
    categories: tuple[Category, ...]
    keypoints: KeypointLayout | None
    shards: Mapping[str, int]
    files: Mapping[str, FileSum]
    faults: Mapping[str, int]

    def write(self, folder: Path) -> None:
        """Write it into the folder."""
        write_json(folder / MANIFEST, {"version": _VERSION, **asdict(self)})

    @classmethod
    def parse(cls, text: bytes | str, place: str) -> Manifest:
        """Read the content of a manifest.

        Raises:
            UserError: it is damaged or of another version.
        """
        try:
            content = json.loads(text)
            if content.pop("version") != _VERSION:
                raise UserError(f"The shards in {place} are of another version: write them anew.")
            return cls(
                content["plan"],
                tuple(Category(*entry) for entry in content["categories"]),
                layout_from_json(content["keypoints"]),
                content["shards"],
                {name: FileSum(*entry) for name, entry in content["files"].items()},
                content["faults"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{place}/{MANIFEST} is damaged ({error!r}): write the shards anew."
            ) from error
