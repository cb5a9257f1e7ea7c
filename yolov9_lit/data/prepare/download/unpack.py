"""Zip archives: verified, and unpacked so that a file is either whole or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zlib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from yolov9_lit.data.prepare.download.catalog import Archive
from yolov9_lit.data.prepare.download.fetch import CorruptFile, Show
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write

BLOCK = 4096
"""Bytes that a file takes at most beyond its own size, on a usual file system."""

_CHUNK = 1 << 20


def verify(path: Path, archive: Archive, show: Show) -> None:
    """Compares an archive's checksum, where one is published.

    Raises:
        CorruptFile: it is another.
    """
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


def unpack(path: Path, archive: Archive, draft: Path, root: Path, show: Show) -> None:
    """Unpacks an archive to `draft`, then moves its folder to `root`.

    What an earlier, interrupted call left in `draft` is kept. Where `root` has the folder already,
    its files are completed or replaced one by one.

    Raises:
        CorruptFile: it is no zip file, a file's CRC differs, or its folder lacks files.
        UserError: it holds a path outside of its folder, or the disk has no room for it.
    """
    for part in draft.rglob("*.part"):  # What a killed process was just writing.
        part.unlink()
    try:
        with ZipFile(path) as content:
            members = _members(content, archive)
            missing = [m for m in members if not _is_there(draft / m.filename, m)]
            check_room(draft.parent, sum(m.file_size + BLOCK for m in missing))
            done, total = 0, sum(member.file_size for member in missing)
            for member in missing:
                _extract(content, member, draft / member.filename)
                done += member.file_size
                show(f"{archive.name}: unpacked", done, total)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CorruptFile(f"{archive.name} is damaged ({error})") from error
    _publish(draft / archive.folder, root / archive.folder)
    shutil.rmtree(draft)


def check_room(folder: Path, needed: int) -> None:
    """Refuses to begin what the disk cannot hold.

    Raises:
        UserError: fewer than `needed` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free:,} bytes free, but {needed:,} are needed; make room or choose "
            "another folder"
        )


def _members(content: ZipFile, archive: Archive) -> list[ZipInfo]:
    """The files of the archive's folder; what else there may be is left in the archive."""
    members = []
    for member in content.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if ".." in parts or parts[:1] == ("/",) or stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{archive.name} holds {member.filename!r}; do not trust its source")
        if parts[:1] == (archive.folder,) and not member.is_dir():
            members.append(member)
    if len(members) < archive.files:
        raise CorruptFile(f"{archive.name} has {len(members):,} files, not {archive.files:,}")
    return members


def _is_there(path: Path, member: ZipInfo) -> bool:
    return path.is_file() and path.stat().st_size == member.file_size


def _extract(content: ZipFile, member: ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as part, content.open(member) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)


def _publish(draft: Path, target: Path) -> None:
    if not target.exists():
        os.rename(draft, target)
        return
    for path in sorted(draft.rglob("*")):
        place = target / path.relative_to(draft)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            os.replace(path, place)
