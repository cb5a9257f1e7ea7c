"""Command `download`: a data set from its publisher, verified and unpacked, resumed if interrupted.

What is incomplete lies in `ROOT/.download`. Range requests follow RFC 9110, section 14. If the
server's file has changed between two of them, the checksum or the archive's own finds it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
from zipfile import BadZipFile, ZipFile, ZipInfo

import yaml
from filelock import FileLock, Timeout
from rich import progress
from rich.console import Console
from rich.filesize import decimal

from yolov9_lit.building import CONFIG_DIR
from yolov9_lit.checks import yes_or_no_text
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write
from yolov9_lit.reporting.console import console

log = logging.getLogger(__name__)

Show: TypeAlias = Callable[[str, int, int], None]
"""Told what is in progress, and how many bytes of how many are done."""

BLOCK = 4096
"""Bytes that a file takes at most beyond its own size, on a usual file system."""

_TRIES = 8  # In a row without a new byte.
_LONGEST_PAUSE = 60.0  # Seconds.
_TIMEOUT = 60.0  # Seconds without a byte.
_CHUNK = 1 << 18
_TEMPORARY = (408, 425, 429)  # Besides the server's own faults, 500 and above.


class CorruptFile(UserError):
    """A fetched file is not the one that was published."""


class _Interrupted(Exception):
    """A fault that may be gone at the next try."""


@dataclass(frozen=True)
class Archive:
    """A zip file that holds one folder.

    Attributes:
        path: its path below the data set's URL.
        bytes: its size.
        folder: the name of the folder that it holds.
        files: the number of files in that folder.
        unpacked: their size in bytes, roughly: to know how much space to ask for.
        checksum: "md5:HEX", or another algorithm of hashlib; empty if none is published.
    """

    path: str
    bytes: int
    folder: str
    files: int
    unpacked: int
    checksum: str = ""

    def __post_init__(self) -> None:
        """Check the algorithm of the checksum."""
        algorithm = self.checksum.partition(":")[0]
        if algorithm and algorithm not in hashlib.algorithms_guaranteed:
            raise ValueError(f"unknown checksum {self.checksum}")

    @property
    def name(self) -> str:
        """Return the file name of the archive."""
        return PurePosixPath(self.path).name

    def is_unpacked(self, root: Path) -> bool:
        """Tell whether all its files are in `root`, by their number."""
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


class Need(NamedTuple):
    """What a download takes.

    Attributes:
        archives: those that are not unpacked yet.
        fetch: bytes to fetch.
        room: bytes of disk that will be in use at most, beyond those in use already.
    """

    archives: Sequence[Archive]
    fetch: int
    room: int


def run(values: Mapping[str, str]) -> None:
    """Download a data set.

    Args:
        values: "name" and "root"; optionally "splits" (separated by commas), "url" (a mirror's)
            and "keep" ("true": keep the archives too).

    Raises:
        UserError: see `download`.
    """
    data = read_catalog(values["name"], values.get("url", ""))
    given = values.get("splits", ",".join(data.archives))
    splits = [split.strip() for split in given.split(",") if split.strip()]
    root, keep = (
        Path(values["root"]).expanduser(),
        yes_or_no_text("keep", values.get("keep", "false")),
    )
    out = console()
    wanted = need(data, root, splits, keep=keep)
    if wanted.archives:
        names = ", ".join(archive.name for archive in wanted.archives)
        out.print(
            f"{names}: {decimal(wanted.fetch)} to fetch, up to {decimal(wanted.room)} of disk"
        )
    try:
        with _progress_bars(out) as show:
            download(data, root, splits, show, keep=keep)
    except KeyboardInterrupt as error:
        raise UserError(
            "The download was interrupted: the same command goes on where it was."
        ) from error
    out.print(f"{', '.join(splits)} of {values['name']} are in {root}")


@contextmanager
def _progress_bars(out: Console) -> Iterator[Show]:
    columns = (*progress.Progress.get_default_columns(), progress.DownloadColumn())
    with progress.Progress(*columns, progress.TransferSpeedColumn(), console=out) as bars:
        tasks: dict[str, progress.TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


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


def need(data: DataSet, root: Path, splits: Sequence[str], *, keep: bool = False) -> Need:
    """Tell what is missing in `root` and what getting it takes.

    Raises:
        UserError: there is no such split.
    """
    archives = [archive for archive in data.choose(splits) if not archive.is_unpacked(root)]
    fetched = used = room = 0
    for archive in archives:
        missing = archive.bytes - _fetched(root, archive)
        fetched += missing
        unpacked = archive.unpacked + archive.files * BLOCK
        room = max(room, used + missing + unpacked)
        used += unpacked + (missing if keep else 0)
    return Need(archives, fetched, room)


def _fetched(root: Path, archive: Archive) -> int:
    work = root / ".download"
    if any(_has_size(folder / archive.name, archive.bytes) for folder in (root, work)):
        return archive.bytes
    return min(_size(work / f"{archive.name}.part"), archive.bytes)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def download(
    data: DataSet, root: Path, splits: Sequence[str], show: Show, *, keep: bool = False
) -> None:
    """Bring a data set's folders into `root`; what is there already is skipped.

    An interrupted download is resumed. An archive that turns out damaged is fetched once more.
    Archives are deleted as soon as they are unpacked.

    Args:
        data: what to get.
        root: the folder to bring it to.
        splits: names of the archives to get.
        show: told of the progress.
        keep: keep the archives in `root`. An archive that is there is used, and kept.

    Raises:
        UserError: another process downloads to `root`, the disk is too small, the server does not
            answer or its files are damaged.
    """
    work = root / ".download"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(work / "lock", timeout=0):  # A killed process loses it.
            _check_room(root, need(data, root, splits, keep=keep).room)
            for archive in data.choose(splits):
                if archive.is_unpacked(root):  # Perhaps by a process killed just after.
                    _discard(work, archive)
                else:
                    _get(f"{data.url}/{archive.path}", archive, root, show, keep=keep)
    except Timeout as error:
        raise UserError(f"Another process downloads to {root}: wait for it to end.") from error
    except OSError as error:
        raise UserError(f"{root} cannot be written ({error}): choose another root.") from error


def _get(url: str, archive: Archive, root: Path, show: Show, *, keep: bool) -> None:
    path, kept = root / ".download" / archive.name, root / archive.name
    if not path.exists() and _has_size(kept, archive.bytes):
        os.replace(kept, path)
        keep = True
    for again in (True, False):
        try:
            if not _has_size(path, archive.bytes):
                _fetch(url, path, archive.bytes, show)
            _verify(path, archive, show)
            _unpack(path, archive, root, show)
            break
        except CorruptFile as error:
            _discard(path.parent, archive)
            if not again:
                raise UserError(
                    f"{url} is not as published ({error}): give a mirror's url."
                ) from error
            log.warning("%s: it is fetched once more", error)
    if keep:
        os.replace(path, kept)
    else:
        path.unlink()


def _discard(work: Path, archive: Archive) -> None:
    (work / archive.name).unlink(missing_ok=True)
    (work / f"{archive.name}.part").unlink(missing_ok=True)
    shutil.rmtree(work / archive.folder, ignore_errors=True)


def _fetch(url: str, target: Path, size: int, show: Show) -> None:
    """Download a file of `size` bytes; what an earlier call left in `target.part` is kept.

    Raises:
        CorruptFile: the server has a file of another size.
        UserError: the server has no such file, stays out of reach, or the disk is full.
    """
    part = target.with_name(f"{target.name}.part")
    furthest, failures = _size(part), 0
    while _size(part) != size:
        try:
            _receive(url, part, size, show)
        except _Interrupted as reason:
            failures = 0 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures == _TRIES:
                message = f"{url} {reason}, {_TRIES} times in a row"
                raise UserError(f"{message}: the same command goes on later.") from reason
            wait = min(2.0 ** (failures - 1), _LONGEST_PAUSE)
            log.warning("%s %s: it goes on at byte %d in %.1f s", url, reason, _size(part), wait)
            time.sleep(wait)
    os.replace(part, target)


def _receive(url: str, part: Path, size: int, show: Show) -> None:
    """Fetch what is missing, as far as the connection goes."""
    have = _size(part) if _size(part) < size else 0
    with _request(url, part, have) as response:
        if response.status != 206:
            have = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            raise _Interrupted("sent another part than asked for")
        if response.length is not None and have + response.length != size:
            raise CorruptFile(f"{url} has {have + response.length:,} bytes, not {size:,}")
        with part.open("ab" if have else "wb", buffering=0) as file:
            for chunk in _chunks(response):
                have += len(chunk)
                if have > size:
                    raise CorruptFile(f"{url} has more than {size:,} bytes")
                _write(file, chunk, part, size)
                show(f"{part.stem}: fetched", have, size)
    if have < size:
        raise _Interrupted("broke off")


def _request(url: str, part: Path, have: int) -> HTTPResponse:
    headers = {"User-Agent": "yolov9_lit", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    try:
        return urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        reason = f"answers {error.code} {error.reason}"
        if error.code == 416:  # The file ends before the part.
            part.unlink(missing_ok=True)
        elif error.code < 500 and error.code not in _TEMPORARY:
            raise UserError(f"{url} {reason}: check the address or give a mirror's url.") from error
        raise _Interrupted(reason) from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        raise _Interrupted(f"is out of reach ({cause})") from error


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(_CHUNK):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _Interrupted(f"broke off ({error})") from error


def _write(file: FileIO, chunk: bytes, part: Path, size: int) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        message = f"{part} cannot be written ({error.strerror}); make room for"
        raise UserError(f"{message} {size - _size(part):,} bytes and start again") from error


def _verify(path: Path, archive: Archive, show: Show) -> None:
    """Compare an archive's checksum if one is published."""
    algorithm, _, expected = archive.checksum.partition(":")
    if not algorithm:
        return
    digest, done = hashlib.new(algorithm), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            show(f"{archive.name}: verified", done, archive.bytes)
    if digest.hexdigest() != expected.lower():
        raise CorruptFile(
            f"{archive.name} has the {algorithm} {digest.hexdigest()}, not {expected}"
        )


def _unpack(path: Path, archive: Archive, root: Path, show: Show) -> None:
    """Unpack an archive beside it, then move its folder to `root`.

    What an interrupted call has unpacked is used. If `root` has the folder already, its files are
    completed or replaced one by one.

    Raises:
        CorruptFile: the file is no zip file, a CRC differs, or its folder lacks files.
        UserError: it holds a path outside of its folder, or the disk has no room for it.
    """
    draft = path.with_name(archive.folder)
    for part in draft.rglob("*.part"):  # What a killed process was writing.
        part.unlink()
    try:
        with ZipFile(path) as content:
            members = _members(content, archive)
            missing = [m for m in members if not _has_size(draft / m.filename, m.file_size)]
            _check_room(path.parent, sum(m.file_size + BLOCK for m in missing))
            done, total = 0, sum(member.file_size for member in missing)
            for member in missing:
                _extract(content, member, draft / member.filename)
                done += member.file_size
                show(f"{archive.name}: unpacked", done, total)
    except (BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise CorruptFile(f"{archive.name} is damaged ({error})") from error
    source, target = draft / archive.folder, root / archive.folder
    if target.exists():
        shutil.copytree(source, target, copy_function=os.replace, dirs_exist_ok=True)
    else:
        os.rename(source, target)
    shutil.rmtree(draft)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free:,} bytes free, but {needed:,} are needed: make room or choose "
            "another folder."
        )


def _members(content: ZipFile, archive: Archive) -> list[ZipInfo]:
    """Return the files of the archive's folder; anything else stays in the archive."""
    members = []
    for member in content.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if ".." in parts or parts[:1] == ("/",) or stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(
                f"{archive.name} holds {member.filename!r}, which leads out of its folder: "
                "do not trust its source."
            )
        if parts[:1] == (archive.folder,) and not member.is_dir():
            members.append(member)
    if len(members) < archive.files:
        raise CorruptFile(f"{archive.name} has {len(members):,} files, not {archive.files:,}")
    return members


def _extract(content: ZipFile, member: ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as part, content.open(member) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
