"""One file over HTTP, going on where it was interrupted.

Range requests are those of RFC 9110, section 14: `If-Range` makes a server whose file has changed
send all of it again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from yolov9_lit.errors import UserError
from yolov9_lit.files import write_json

log = logging.getLogger(__name__)

Show = Callable[[str, int, int], None]
"""Told what is done, and how many bytes of how many."""

_TRIES = 8  # In a row without a byte more than before.
_LONGEST_PAUSE = 60.0  # Seconds.
_TIMEOUT = 60.0  # Seconds without a byte.
_CHUNK = 1 << 18
_PASSING = (408, 425, 429)  # Beside the server's own faults, 500 and above.


class CorruptFile(UserError):
    """What was fetched is not the file that it should be."""


class _Interrupted(Exception):
    """A fault that may have passed at the next try."""


def fetch(url: str, target: Path, size: int, show: Show, *, pause: float = 1.0) -> None:
    """Downloads a file; what an earlier call had of it (`target.part`) is not fetched again.

    Args:
        url: of the file.
        target: where it appears once it is whole.
        size: its bytes; never more are written.
        show: told of the progress.
        pause: seconds before the second try; doubled for each further one in a row.

    Raises:
        CorruptFile: the server has a file of another size.
        UserError: the server has no such file, stays out of reach, or the disk is full.
    """
    part = _Part(target, url)
    furthest, failures = part.size(), 0
    while part.size() != size:
        try:
            _receive(part, size, show)
        except _Interrupted as reason:
            failures = 0 if part.size() > furthest else failures + 1
            furthest = max(furthest, part.size())
            if failures == _TRIES:
                message = f"{url} {reason}, {_TRIES} times in a row"
                raise UserError(f"{message}; the same command goes on later") from reason
            wait = min(pause * 2 ** (failures - 1), _LONGEST_PAUSE)
            log.warning("%s %s; going on at byte %d in %.1f s", url, reason, part.size(), wait)
            time.sleep(wait)
    part.complete()


class _Part:
    """What there is of a file so far, and the validator (ETag) of the file that it is part of."""

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self) -> str:
        """Empty where the server gave none, or it was another server."""
        try:
            note = json.loads(self._note.read_bytes())
            return str(note["validator"]) if note["url"] == self.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def restart(self, validator: str = "") -> None:
        self.path.write_bytes(b"")
        write_json(self._note, {"url": self.url, "validator": validator})

    def complete(self) -> None:
        os.replace(self.path, self.target)
        self._note.unlink(missing_ok=True)


def _receive(part: _Part, size: int, show: Show) -> None:
    """Fetch what is missing, as far as the connection goes."""
    if part.size() > size:
        part.restart()
    with _request(part) as response:
        start, total = _span(response)
        if total not in (None, size):
            raise CorruptFile(f"{part.url} has {total:,} bytes, not {size:,}")
        validator = _validator(response)
        if not start:
            part.restart(validator)
        elif start != part.size() or validator != (part.validator() or validator):
            part.restart()
            raise _Interrupted("sent another part than asked for")
        with open(part.path, "ab", buffering=0) as file:
            _copy(response, file, part, size, show)
    if part.size() < size:
        raise _Interrupted("broke off")


def _request(part: _Part) -> HTTPResponse:
    headers = {"User-Agent": "yolov9_lit", "Accept-Encoding": "identity"}
    if part.size():
        headers["Range"] = f"bytes={part.size()}-"
        if part.validator():
            headers["If-Range"] = part.validator()
    try:
        return urlopen(Request(part.url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        reason = f"answers {error.code} {error.reason}"
        if error.code == 416:  # Its file ends before what we have.
            part.restart()
        elif error.code < 500 and error.code not in _PASSING:
            raise UserError(f"{part.url} {reason}; check the address or give a mirror's") from error
        raise _Interrupted(reason) from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        raise _Interrupted(f"is out of reach ({cause})") from error


def _span(response: HTTPResponse) -> tuple[int, int | None]:
    """Where the answer starts in the file, and the file's size where the server tells."""
    if response.status != 206:
        return 0, response.length
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if found is None:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _validator(response: HTTPResponse) -> str:
    """For `If-Range`: a strong ETag, else the date of the last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _copy(response: HTTPResponse, file: FileIO, part: _Part, size: int, show: Show) -> None:
    have = part.size()
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, HTTPException) as error:
            raise _Interrupted(f"broke off ({error})") from error
        if not chunk:
            return
        if have + len(chunk) > size:
            raise CorruptFile(f"{part.url} has more than {size:,} bytes")
        _write(file, chunk, part, size)
        have += len(chunk)
        show(f"{part.target.name}: fetched", have, size)


def _write(file: FileIO, chunk: bytes, part: _Part, size: int) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        message = f"{part.path} cannot be written ({error.strerror}); make room for"
        raise UserError(f"{message} {size - part.size():,} bytes and start again") from error
