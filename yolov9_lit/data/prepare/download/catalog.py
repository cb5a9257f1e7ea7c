"""What is to be downloaded: data sets and their archives, as `conf/download/` describes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from yolov9_lit.building import CONFIG_DIR
from yolov9_lit.errors import UserError

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Archive:
    """A zip or tar file that holds one folder, or a part of it.

    Attributes:
        path: its path below the data set's URL.
        bytes: its size; 0 where it is not known: the server is asked, and a checksum needed.
        folder: the name of the folder that it holds.
        unpacked: the size of its files in bytes, roughly: to know how much space to ask for.
        files: the number of files in that folder; None where another archive holds files of the
            same folder: what has been unpacked is then noted.
        checksum: "md5:HEX", or another algorithm of hashlib; empty if none is published.
    """

    path: str
    bytes: int
    folder: str
    unpacked: int
    files: int | None = None
    checksum: str = ""

    def __post_init__(self) -> None:
        """Check that damage can be found out."""
        algorithm = self.checksum.partition(":")[0]
        if algorithm and algorithm not in hashlib.algorithms_guaranteed:
            raise ValueError(f"unknown checksum {self.checksum}")
        if self.is_tar and not algorithm:
            raise ValueError(f"{self.name} needs a checksum, as tar files have none of their own")
        if not self.bytes and not algorithm:
            raise ValueError(f"{self.name} needs its bytes or a checksum")

    @property
    def name(self) -> str:
        """Return the file name of the archive."""
        return PurePosixPath(self.path).name

    @property
    def is_tar(self) -> bool:
        """Tell a tar file from a zip file."""
        return self.name.endswith(TAR_ENDINGS)

    def note(self, root: Path) -> Path:
        """Return the path of the list of the files that it has been unpacked to in `root`."""
        return root / ".download" / f"{self.name}.unpacked"

    def is_unpacked(self, root: Path) -> bool:
        """Tell whether all its files are in `root`: by their number, or by the noted names."""
        if self.files is None:
            note = self.note(root)
            return note.is_file() and all(
                os.path.isfile(root / name) for name in note.read_text("utf-8").splitlines()
            )
        folder = root / self.folder
        return folder.is_dir() and sum(len(names) for *_, names in os.walk(folder)) >= self.files


@dataclass(frozen=True)
class DataSet:
    """A data set: the URL that its archives' paths start from, and the archives by split.

    The archives' order is the one that needs the least space.
    """

    url: str
    archives: dict[str, Archive]

    def choose(self, splits: Sequence[str]) -> list[Archive]:
        """Return the archives of these splits, in the data set's order.

        Raises:
            UserError: there is no such split.
        """
        unknown = [split for split in splits if split not in self.archives]
        if unknown:
            known = ", ".join(self.archives)
            raise UserError(f"splits={','.join(unknown)} is unknown: choose from {known}.")
        return [archive for split, archive in self.archives.items() if split in splits]


def read_catalog(name: str, url: str = "") -> DataSet:
    """Read the description of a data set.

    Args:
        name: the name of a file in `conf/download/`, without its ending, or the path of another.
        url: a mirror's URL; the description's by default.

    Raises:
        UserError: there is no such description, or it is malformed.
    """
    folder = CONFIG_DIR / "download"
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise UserError(f"name={name} is unknown: choose {known} or give a YAML file like theirs.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        archives = {str(split): Archive(**v) for split, v in content["archives"].items()}
        data = DataSet((url or content["url"]).rstrip("/"), archives)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} describes no download ({reason}): compare it with {folder / 'coco.yaml'}."
        ) from error
    if not data.url.startswith(("http://", "https://")):
        raise UserError(f"url={data.url} is neither http:// nor https://: give a web address.")
    return data
