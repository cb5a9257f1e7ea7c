"""Importing another package leaves this process, and those that it starts, as they were."""

import os
from pathlib import Path

import pytest

from benchmarks.peers import ultralytics_module


@pytest.mark.parametrize("threads", [None, "3"])
def test_threads_stay_as_the_user_has_set_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str | None
) -> None:
    sets = "import os\nos.environ['OMP_NUM_THREADS'] = '1'\n"
    (tmp_path / "greedy_package.py").write_text(sets)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_CONFIG_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # Restored after the test, whatever happens.
    if threads is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = threads
    ultralytics_module("greedy_package")
    assert os.environ.get("OMP_NUM_THREADS") == threads
