"""Memory that is freed stays with the process that asked for it, and with no other."""

import platform
import subprocess
import sys

import pytest

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
