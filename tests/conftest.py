"""Fixtures shared by all tests."""

import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # Side by side: a thread each, before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(os.environ.get("YOLOV9_LIT_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real images; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there (reference numbers and images)")
    return SHARED


@pytest.fixture
def largest_file():
    """A context in which no file grows beyond that many bytes: what a full disk is to a program."""

    @contextmanager
    def limited(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
