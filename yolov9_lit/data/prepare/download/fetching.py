"""Fetching a file over HTTP, resumed where it broke off (range requests, RFC 9110, section 14).

If the server's file has changed between two requests, the checksum or the archive's own finds it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from typing import TypeAlias
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)

Show: TypeAlias = Callable[[str, int, int], None]
"""Told what is in progress, and how many bytes of how many are done."""

CHUNK = 1 << 18
"""Bytes that are read at once."""

_TRIES = 8  # In a row without a new byte.
_LONGEST_PAUSE = 60.0  # Seconds.
_TIMEOUT = 60.0  # Seconds without a byte.
_TEMPORARY = (408, 425, 429)  # Besides the server's own faults, 500 and above.


class CorruptFile(UserError):
    """A fetched file is not the one that was published."""


class _Interrupted(Exception):
    """A fault that may be gone at the next try."""


def part_of(target: Path) -> Path:
    """Return the path at which a file lies until it is whole."""
    return target.with_name(f"{target.name}.part")


def size_of(path: Path) -> int:
    """Return a file's size in bytes, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def stated_size(url: str, target: Path) -> int:
    """Ask a server how many bytes the file has that is to become `target`.

    Raises:
        UserError: it has no such file, is out of reach or does not tell.
    """
    try:
        with _request(url, part_of(target), 0) as response:
            size = response.length
    except _Interrupted as reason:
        raise UserError(f"{url} {reason}: the same command goes on later.") from reason
    if not size:
        raise UserError(f"{url} comes without its size: give a mirror's url.")
    return size


def fetch(url: str, target: Path, size: int, show: Show) -> None:
    """Download a file of `size` bytes; what an earlier call left in `target.part` is kept.

    Raises:
        CorruptFile: the server has a file of another size.
        UserError: the server has no such file, stays out of reach, or the disk is full.
    """
    part = part_of(target)
    furthest, failures = size_of(part), 0
    while size_of(part) != size:
        try:
            _receive(url, part, size, show)
        except _Interrupted as reason:
            failures = 0 if size_of(part) > furthest else failures + 1
            furthest = max(furthest, size_of(part))
            if failures == _TRIES:
                message = f"{url} {reason}, {_TRIES} times in a row"
                raise UserError(f"{message}: the same command goes on later.") from reason
            wait = min(2.0 ** (failures - 1), _LONGEST_PAUSE)
            log.warning("%s %s: it goes on at byte %d in %.1f s", url, reason, size_of(part), wait)
            time.sleep(wait)
    os.replace(part, target)


def _receive(url: str, part: Path, size: int, show: Show) -> None:
    """Fetch what is missing, as far as the connection goes."""
    have = size_of(part) if size_of(part) < size else 0
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
        while chunk := response.read1(CHUNK):
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
        raise UserError(f"{message} {size - size_of(part):,} bytes and start again") from error
