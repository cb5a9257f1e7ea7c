"""Memory that is freed stays with the process that asked for it, and with no other."""

import platform
import subprocess
import sys

import pytest

from yolov9_lit.memory import available_bytes, peak_bytes

SCRIPT = """
import os, sys
import numpy as np
import psutil
from yolov9_lit.memory import keep_freed_memory

def left():
    before = psutil.Process().memory_info().rss
    array = np.ones(200 * 2**20, dtype=np.uint8)
    del array
    return (psutil.Process().memory_info().rss - before) >> 20

usual = left()
keep_freed_memory()
kept = left()
sys.stdout.write(f"{usual} {kept} ")
sys.stdout.flush()
if os.fork() == 0:
    keep = [np.ones(250 * 2**20, dtype=np.uint8) for _ in range(2)]  # more than was kept
    del keep
    sys.stdout.write(f"{left()}")
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_freed_memory_is_kept_by_the_process_but_not_by_its_workers():
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    usual, kept, workers = map(int, ran.stdout.split())
    assert usual < 50
    assert kept > 150
    assert workers < 50


def test_the_peak_of_a_process_is_its_own():
    """Also where the process that started it has had more."""
    script = "from yolov9_lit.memory import peak_bytes; print(peak_bytes())"
    mine = bytearray(300 * 2**20)
    mine[::4096] = b"1" * len(mine[::4096])
    command = [sys.executable, "-c", script]
    theirs = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert 2**20 < theirs < 200 * 2**20 < 300 * 2**20 < peak_bytes()


@pytest.mark.parametrize(
    "files",
    [
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ],
)
def test_a_container_bounds_what_may_be_taken(tmp_path, files):
    (tmp_path / "memory").mkdir()
    for name, content in zip(
        files, ("9000\n", "5000\n", "cache 7\ninactive_file 300\n"), strict=True
    ):
        (tmp_path / name).write_text(content)
    assert available_bytes(tmp_path) == 9000 - 5000 + 300
    (tmp_path / files[0]).write_text("max\n" if "max" in files[0] else f"{2**63 - 4096}\n")
    assert available_bytes(tmp_path) > 2**20, "the machine's"
