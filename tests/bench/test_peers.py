"""Importing another package leaves the threads as they were, and tells what it lacks."""

import os
from pathlib import Path

import pytest

from benchmarks.peers import cloned_module, ultralytics_module
from yolov9_lit.errors import UserError


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


def test_what_a_clone_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cloned_loader.py").write_text("import a_package_that_is_nowhere")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"needs a_package_that_is_nowhere, which is not installed"):
        cloned_module(str(tmp_path), "cloned_loader")
