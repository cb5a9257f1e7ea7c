"""What must hold however a run of the code under test ends."""

import io
import logging
import os
import resource
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from yolov9_lit.errors import UserError

MOST_SECONDS = 10.0  # Of the processor.
MOST_MEGABYTES = 1_000
MOST_MESSAGES = 60
MOST_LINES = 200  # On the standard error of the libraries written in C.
QUIET = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning)


class TooLongError(BaseException):
    """No `except Exception` on the way catches it."""


class Messages(logging.Handler):
    """The messages of the package's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def watched() -> Iterator[Messages]:
    """Let the code in it end well or with a `UserError` of one line.

    No other exception, warning of Python, flood of messages, or waste of time and memory.
    """
    log, messages = logging.getLogger("yolov9_lit"), Messages()
    level, propagate = log.level, log.propagate
    log.addHandler(messages)
    log.setLevel(logging.INFO)
    log.propagate = False
    memory = _peak_megabytes()
    try:
        with (
            _limited(),
            warnings.catch_warnings(record=True) as warned,
            _native_lines() as lines,
        ):
            warnings.simplefilter("always")
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    yield messages
            except UserError as error:
                messages.texts.append(str(error))
            except TooLongError as error:
                raise AssertionError(f"it takes longer than {MOST_SECONDS:.0f} s") from error
    finally:
        log.removeHandler(messages)
        log.setLevel(level)
        log.propagate = propagate
    told = {str(w.message) for w in warned if not _is_usual(w)}
    assert not told, f"warnings of Python: {sorted(told)[:3]}"
    assert len(messages.texts) <= MOST_MESSAGES, f"{len(messages.texts)} messages"
    for text in messages.texts:
        assert text.strip(), "an empty message"
        assert len(text.splitlines()) == 1, f"a message of several lines: {text!r}"
        assert text.isprintable(), f"a message that a terminal would obey: {text!r}"
    assert len(lines) <= MOST_LINES, f"{len(lines)} lines of a library: {lines[0]}"
    grown = _peak_megabytes() - memory
    assert grown < MOST_MEGABYTES, f"it took {grown:.0f} MB of memory"


def _is_usual(warning: warnings.WarningMessage) -> bool:
    """Whether it is for developers, or of Pillow, which tells it once of each kind of file."""
    return issubclass(warning.category, QUIET) or "/PIL/" in warning.filename


@contextmanager
def _limited() -> Iterator[None]:
    """Take no more memory or time than there should be, rather than all that there is."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + 2 * MOST_MEGABYTES * 2**20
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (room, before[1]))
    handler = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _too_long(*_: object) -> None:
    raise TooLongError


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _native_lines() -> Iterator[list[bytes]]:
    """Collect what libraries write to the standard error past Python."""
    lines: list[bytes] = []
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            lines += file.read().splitlines()
