"""How this process gets memory and gives it back."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8  # as in glibc's malloc.h
_MB = 2**20
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Files of a container's limit and use, by the second and the first kind of Linux's groups."""
_CACHED = re.compile(r"^inactive_file (\d+)", re.MULTILINE)


@cache
def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next that asks, as far as it can be told to.

    On a CPU each layer's maps are tens of megabytes. Given back to the system, they come again page
    by page and zeroed, which takes a tenth of a training step. The peak stays what it is. Processes
    that are forked from this one, such as data workers, give freed memory back as usual. To be
    called before other threads begin.
    """
    import ctypes  # Every command imports this module, few need this.

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # Another C library than glibc.
        return
    mallopt(_ARENA_MAX, 1)  # Those of other threads than the main one cannot keep large pieces.
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    os.register_at_fork(after_in_child=lambda: _give_back(mallopt))


def _give_back(mallopt: Callable[[int, int], int]) -> None:
    """Set what glibc comes to by itself in a process that frees large arrays."""
    mallopt(_MMAP_MAX, 65_536)
    mallopt(_MMAP_THRESHOLD, 32 * _MB)
    mallopt(_TRIM_THRESHOLD, 64 * _MB)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Save the search for garbage where millions of objects are made and none is garbage.

    It takes a third of the time of reading COCO's file, a quarter of importing torch and Lightning.

    Hold it until they are used up: the first collection after it looks at all that is left.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def peak_bytes() -> int:
    """Return the most resident memory that this process has had."""
    status = Path("/proc/self/status")
    # What getrusage tells on Linux may be of the process that started this one.
    if status.is_file() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    if sys.platform == "win32":
        import psutil  # Few commands ask.

        return psutil.Process().memory_info().peak_wset
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def available_bytes(container: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory that this process may still take.

    Args:
        container: folder in which Linux tells the limit of the container that it is in, if any.
    """
    import psutil

    available = [psutil.virtual_memory().available]
    for files in _LIMITS:
        try:
            limit, used, state = [(container / name).read_text().strip() for name in files]
        except OSError:
            continue
        if limit != "max":
            cached = _CACHED.search(state)  # Files that the system would drop.
            available.append(int(limit) - int(used) + (int(cached[1]) if cached else 0))
    return max(min(available), 0)
