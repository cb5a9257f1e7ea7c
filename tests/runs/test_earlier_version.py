"""A sweep that an earlier version began, and was killed in, is gone on with.

tests/assets/previous was made by version 0.1.0 as of November 2026, before its modules moved.
"""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.research.report.rows import make_rows
from yolov9_lit.research.report.runs import read_runs

pytestmark = pytest.mark.slow

PREVIOUS = Path(__file__).parents[1] / "assets" / "previous"
COMMAND = ["--config-dir=my_conf", "experiment=narrow", "~data.prepare", "pgi=none,fpn"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: data, configs and the sweep, which is gone on with."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(PREVIOUS, folder, dirs_exist_ok=True)
    make_shapes(folder / "shapes", train=14, val=6, image_size=64)
    done = subprocess.run(
        [sys.executable, "-m", "yolov9_lit.train", "-m", *COMMAND, "sweep=previous"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


def jobs(folder):
    (none,) = folder.glob("multirun/previous/*pgi=none-*")
    (fpn,) = folder.glob("multirun/previous/*pgi=fpn-*")
    return none, fpn


def test_the_finished_job_is_passed_over(folder):
    none, _ = jobs(folder)
    (before, _) = jobs(PREVIOUS)
    assert none.name == before.name, "its folder's name is the same"
    assert (none / "run.json").read_bytes() == (before / "run.json").read_bytes()


def test_the_killed_job_goes_on_to_what_the_earlier_version_would_have_given(folder):
    _, fpn = jobs(folder)
    record = json.loads((fpn / "run.json").read_text())
    assert (record["status"], record["resumed"], record["epochs"]) == ("done", 1, 4)
    expected = json.loads((PREVIOUS / "expected.json").read_text())
    results = json.loads((fpn / "results.json").read_text())
    assert results["num_images"] == expected["results"]["num_images"]
    for name in ("AP", "AP50", "AR_100"):
        assert results[name] == pytest.approx(expected["results"][name], abs=0.05)
    theirs = list(csv.DictReader(io.StringIO(expected["metrics"])))
    ours = list(csv.DictReader((fpn / "metrics.csv").open()))
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for name in (n for n, v in other.items() if v and n.startswith(("train/", "lr"))):
            assert float(mine[name]) == pytest.approx(float(other[name]), rel=0.02), name


def test_runs_of_both_versions_are_one_row_a_configuration(folder):
    again = folder / "again"
    run_dir = f"hydra.run.dir={again / 'new_none'}"
    none, fpn = jobs(folder)
    shutil.copytree(none, again / "old_none")
    shutil.copytree(fpn, again / "new_fpn")
    done = subprocess.run(
        [sys.executable, "-m", "yolov9_lit.train", *COMMAND[:3], "pgi=none", "seed=1", run_dir],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows, left = make_rows(read_runs(again))
    assert not left
    assert [(row.settings, len(row.runs)) for row in rows] == [
        ({"pgi": "none"}, 2),
        ({"pgi": "fpn"}, 1),
    ]
