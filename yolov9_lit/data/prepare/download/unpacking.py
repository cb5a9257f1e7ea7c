"""Unpacking a zip or tar file into a data set's folder."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tarfile import TarError, TarFile, TarInfo
from typing import IO, NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

from yolov9_lit.data.prepare.download.catalog import Archive
from yolov9_lit.data.prepare.download.fetching import CHUNK, CorruptFile, Show
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write

BLOCK = 4096
"""Bytes that a file takes at most beyond its own size, on a usual file system."""


class _Member(NamedTuple):
    """A file in an archive, or what leads out of it."""

    name: str
    size: int
    is_link: bool
    open: Callable[[], IO[bytes]]


def draft_of(work: Path, archive: Archive) -> Path:
    """Return the folder that an archive is unpacked in."""
    return work / f"{archive.name}.files"


def unpack(path: Path, archive: Archive, root: Path, show: Show) -> None:
    """Unpack an archive beside it, then move its folder to `root`.

    What an interrupted call has unpacked is used. If `root` has the folder already, its files are
    completed or replaced one by one.

    Raises:
        CorruptFile: the file is no such archive, a CRC differs, or its folder lacks files.
        UserError: it holds a path outside of its folder, or the disk has no room for it.
    """
    draft = draft_of(path.parent, archive)
    for part in draft.rglob("*.part"):  # What a killed process was writing.
        part.unlink()
    try:
        with _opened(path, archive) as content:
            members = _chosen(content, archive)
            missing = [m for m in members if not has_size(draft / m.name, m.size)]
            check_room(path.parent, sum(m.size + BLOCK for m in missing))
            done, total = 0, sum(member.size for member in missing)
            for member in missing:
                _extract(member, draft / member.name)
                done += member.size
                show(f"{archive.name}: unpacked", done, total)
    except (BadZipFile, TarError, zlib.error, EOFError, RuntimeError) as error:
        raise CorruptFile(f"{archive.name} is damaged ({error})") from error
    _move(draft / archive.folder, root / archive.folder)
    shutil.rmtree(draft)
    if archive.files is None:
        with atomic_write(archive.note(root)) as part:
            part.write_text("".join(f"{member.name}\n" for member in members), "utf-8")


def has_size(path: Path, size: int) -> bool:
    """Tell whether there is a file of so many bytes."""
    return path.is_file() and path.stat().st_size == size


def check_room(folder: Path, needed: int) -> None:
    """Refuse a disk with less than so many bytes free.

    Raises:
        UserError: it has less.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free:,} bytes free, but {needed:,} are needed: make room or choose "
            "another folder."
        )


@contextmanager
def _opened(path: Path, archive: Archive) -> Iterator[Iterator[_Member]]:
    if archive.is_tar:
        with tarfile.open(path) as content:
            yield (_of_tar(content, member) for member in content if not member.isdir())
    else:
        with ZipFile(path) as content:
            yield (_of_zip(content, member) for member in content.infolist() if not member.is_dir())


def _of_zip(content: ZipFile, member: ZipInfo) -> _Member:
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return _Member(member.filename, member.file_size, is_link, lambda: content.open(member))


def _of_tar(content: TarFile, member: TarInfo) -> _Member:
    def open_member() -> IO[bytes]:
        file = content.extractfile(member)
        assert file is not None, f"{member.name} is a file"
        return file

    return _Member(member.name, member.size, not member.isfile(), open_member)


def _chosen(members: Iterator[_Member], archive: Archive) -> list[_Member]:
    """Return the files of the archive's folder; anything else stays in the archive.

    Raises:
        CorruptFile: there are too few.
        UserError: one of them leads out of it.
    """
    chosen = []
    for member in members:
        parts = PurePosixPath(member.name.replace("\\", "/")).parts
        if ".." in parts or parts[:1] == ("/",) or member.is_link:
            raise UserError(
                f"{archive.name} holds {member.name!r}, which leads out of its folder: "
                "do not trust its source."
            )
        if parts[:1] == (archive.folder,):
            chosen.append(member)
    if len(chosen) < (archive.files or 1):
        raise CorruptFile(f"{archive.name} has {len(chosen):,} files, not {archive.files or 1:,}")
    return chosen


def _extract(member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as part, member.open() as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, CHUNK)


def _move(source: Path, target: Path) -> None:
    """Move a folder; where there is one already, file by file into it."""
    if target.exists():
        shutil.copytree(source, target, copy_function=os.replace, dirs_exist_ok=True)
    else:
        os.rename(source, target)
