"""What can be downloaded: data sets as the files of `conf/download/` describe them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from yolov9_lit.building import CONFIG_DIR
from yolov9_lit.errors import UserError

_FOLDER = CONFIG_DIR / "download"


@dataclass(frozen=True)
class Archive:
    """A zip file that holds one folder.

    Attributes:
        path: below the data set's URL.
        bytes: its size.
        folder: what it holds.
        files: how many files that folder has.
        unpacked: their size in bytes, roughly: for the room to ask for.
        checksum: "md5:HEX", or another algorithm of hashlib; empty where none is published.
    """

    path: str
    bytes: int
    folder: str
    files: int
    unpacked: int
    checksum: str = ""

    @property
    def name(self) -> str:
        """File name of the archive."""
        return PurePosixPath(self.path).name

    def is_unpacked(self, root: Path) -> bool:
        """Whether all its files are in `root`; they are counted, not read."""
        folder = root / self.folder
        return folder.is_dir() and sum(len(names) for *_, names in os.walk(folder)) >= self.files


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        url: that the archives' paths start from.
        archives: by the names they are chosen by, in the order that needs the least room.
    """

    url: str
    archives: dict[str, Archive]

    def choose(self, splits: Sequence[str]) -> list[Archive]:
        """The archives of these splits, in the data set's order.

        Raises:
            UserError: there is no such split.
        """
        unknown = [split for split in splits if split not in self.archives]
        if unknown:
            raise UserError(f"splits={','.join(unknown)} is unknown; there are {self.splits}")
        return [archive for split, archive in self.archives.items() if split in splits]

    @property
    def splits(self) -> str:
        """Names of all splits."""
        return ", ".join(self.archives)


def read_catalog(name: str, url: str = "") -> DataSet:
    """Reads the description of a data set.

    Args:
        name: of a file in `conf/download/`, without its ending, or the path of one like it.
        url: of a mirror; the description's by default.

    Raises:
        UserError: there is no such description, or it is malformed.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.yaml")))
        raise UserError(f"name={name} is unknown; choose {known} or give a YAML file like theirs")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        archives = {str(split): _archive(v) for split, v in content["archives"].items()}
        data = DataSet((url or content["url"]).rstrip("/"), archives)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} describes no download ({reason}); compare coco.yaml") from error
    if not data.url.startswith(("http://", "https://")):
        raise UserError(f"url={data.url} is neither http:// nor https://; give a web address")
    return data


def _archive(values: dict[str, Any]) -> Archive:
    archive = Archive(**values)
    algorithm = archive.checksum.partition(":")[0]
    if algorithm and algorithm not in hashlib.algorithms_guaranteed:
        raise ValueError(f"unknown checksum {archive.checksum}")
    return archive
