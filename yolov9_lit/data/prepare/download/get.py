"""The whole way of a data set from its publisher to a folder."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from yolov9_lit.data.prepare.download.catalog import Archive, DataSet
from yolov9_lit.data.prepare.download.fetch import CorruptFile, Show, fetch
from yolov9_lit.data.prepare.download.unpack import BLOCK, check_room, unpack, verify
from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)

_WORK = ".download"  # Below the root: what is not whole yet.


class Need(NamedTuple):
    """What a download takes.

    Attributes:
        archives: those that are not unpacked yet.
        fetch: bytes to fetch.
        room: bytes of disk that will be in use at most, beyond what is there.
    """

    archives: Sequence[Archive]
    fetch: int
    room: int


def need(data: DataSet, root: Path, splits: Sequence[str], *, keep: bool = False) -> Need:
    """Tells what is missing in `root`, and what getting it takes.

    Raises:
        UserError: there is no such split.
    """
    archives = [a for a in data.choose(splits) if not a.is_unpacked(root)]
    fetched = used = room = 0
    for archive in archives:
        missing = archive.bytes - _fetched(root, archive)
        fetched += missing
        unpacked = archive.unpacked + archive.files * BLOCK
        room = max(room, used + missing + unpacked)
        used += unpacked + (missing if keep else 0)
    return Need(archives, fetched, room)


def download(
    data: DataSet, root: Path, splits: Sequence[str], show: Show, *, keep: bool = False
) -> None:
    """Brings a data set's folders into `root`; what is there already is passed over.

    An interrupted download goes on where it was. An archive that turns out damaged is fetched once
    more. Archives are deleted as soon as they are unpacked.

    Args:
        data: what to get.
        root: the folder to bring it to.
        splits: names of the archives to get.
        show: told of the progress.
        keep: keep the archives in `root`. An archive that is there is used, and kept.

    Raises:
        UserError: another process is at it, the disk is too small, the server does not answer or
            its files are damaged.
    """
    try:
        with _alone(root):
            check_room(root, need(data, root, splits, keep=keep).room)
            for archive in data.choose(splits):
                if archive.is_unpacked(root):  # Perhaps by a process that was killed right then.
                    _discard(root / _WORK, archive)
                    continue
                _get(f"{data.url}/{archive.path}", archive, root, show, keep=keep)
    except OSError as error:
        raise UserError(f"{root} cannot be written ({error}); choose another root") from error


def _get(url: str, archive: Archive, root: Path, show: Show, *, keep: bool) -> None:
    path, kept = root / _WORK / archive.name, root / archive.name
    draft = root / _WORK / archive.folder
    if not path.exists() and _has_size(kept, archive):
        os.replace(kept, path)
        keep = True
    for again in (True, False):
        try:
            if not _has_size(path, archive):
                fetch(url, path, archive.bytes, show)
            verify(path, archive, show)
            unpack(path, archive, draft, root, show)
            break
        except CorruptFile as error:
            _discard(root / _WORK, archive)
            if not again:
                raise UserError(f"{url} is not as published ({error}); try a mirror") from error
            log.warning("%s; fetching it once more", error)
    if keep:
        os.replace(path, kept)
    else:
        path.unlink()


def _discard(work: Path, archive: Archive) -> None:
    for ending in ("", ".part", ".part.json"):
        (work / f"{archive.name}{ending}").unlink(missing_ok=True)
    shutil.rmtree(work / archive.folder, ignore_errors=True)


def _fetched(root: Path, archive: Archive) -> int:
    """Bytes of an archive that are there."""
    work = root / _WORK
    places = (root / archive.name, work / archive.name)
    if any(_has_size(path, archive) for path in places):
        return archive.bytes
    part = work / f"{archive.name}.part"
    return min(part.stat().st_size, archive.bytes) if part.is_file() else 0


def _has_size(path: Path, archive: Archive) -> bool:
    return path.is_file() and path.stat().st_size == archive.bytes


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one process in at a time; the system lifts the lock of one that is killed."""
    (root / _WORK).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / _WORK / "lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"another process downloads to {root}; wait for it to end") from error
