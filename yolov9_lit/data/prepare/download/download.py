"""A data set's folders brought to a disk, resumed if interrupted.

What is under way is in `ROOT/.download`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from yolov9_lit.data.prepare.download.catalog import Archive, DataSet
from yolov9_lit.data.prepare.download.fetching import (
    CHUNK,
    CorruptFile,
    Show,
    fetch,
    part_of,
    size_of,
    stated_size,
)
from yolov9_lit.data.prepare.download.unpacking import (
    BLOCK,
    check_room,
    draft_of,
    has_size,
    unpack,
)
from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)


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


def with_sizes(data: DataSet, root: Path, splits: Sequence[str]) -> DataSet:
    """Return a data set with the sizes of the archives that are missing in `root`.

    Where a size is not known, it is that of the archive which lies there, or the server's word.

    Raises:
        UserError: the server does not tell it.
    """
    archives = {
        split: archive
        if archive.bytes or split not in splits or archive.is_unpacked(root)
        else replace(archive, bytes=_size(f"{data.url}/{archive.path}", archive, root))
        for split, archive in data.archives.items()
    }
    return replace(data, archives=archives)


def _size(url: str, archive: Archive, root: Path) -> int:
    fetched = root / ".download" / archive.name
    return size_of(root / archive.name) or size_of(fetched) or stated_size(url, fetched)


def need(data: DataSet, root: Path, splits: Sequence[str], *, keep: bool = False) -> Need:
    """Tell what is missing in `root` and what getting it takes; all sizes have to be known.

    Raises:
        UserError: there is no such split.
    """
    archives = [archive for archive in data.choose(splits) if not archive.is_unpacked(root)]
    fetched = used = room = 0
    for archive in archives:
        missing = archive.bytes - _fetched(root, archive)
        fetched += missing
        unpacked = archive.unpacked + (archive.files or 0) * BLOCK
        room = max(room, used + missing + unpacked)
        used += unpacked + (missing if keep else 0)
    return Need(archives, fetched, room)


def _fetched(root: Path, archive: Archive) -> int:
    work = root / ".download"
    if any(has_size(folder / archive.name, archive.bytes) for folder in (root, work)):
        return archive.bytes
    return min(size_of(part_of(work / archive.name)), archive.bytes)


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
            data = with_sizes(data, root, splits)
            check_room(root, need(data, root, splits, keep=keep).room)
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
    if not path.exists() and has_size(kept, archive.bytes):
        os.replace(kept, path)
        keep = True
    for again in (True, False):
        try:
            if not has_size(path, archive.bytes):
                fetch(url, path, archive.bytes, show)
            _verify(path, archive, show)
            unpack(path, archive, root, show)
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
    part_of(work / archive.name).unlink(missing_ok=True)
    shutil.rmtree(draft_of(work, archive), ignore_errors=True)


def _verify(path: Path, archive: Archive, show: Show) -> None:
    """Compare an archive's checksum if one is published."""
    algorithm, _, expected = archive.checksum.partition(":")
    if not algorithm:
        return
    digest, done = hashlib.new(algorithm), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            show(f"{archive.name}: verified", done, archive.bytes)
    if digest.hexdigest() != expected.lower():
        raise CorruptFile(
            f"{archive.name} has the {algorithm} {digest.hexdigest()}, not {expected}"
        )
