"""`bench`: every loader gets the same images and labels, and its figures come as JSON."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import yolov9_lit
from benchmarks.layout import lay_out
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.prepare.shapes import make_shapes

pytestmark = pytest.mark.slow


def test_both_formats_tell_the_same_objects(tmp_path):
    root = make_shapes(tmp_path / "shapes", train=3, val=1, image_size=100)
    annotation_file, images = root / "annotations/instances_train2017.json", root / "train2017"
    (tmp_path / "out").mkdir()
    layout = lay_out(annotation_file, images, tmp_path / "out", copies=2)
    layout.forget_pages()
    annotations = read_coco(layout.root / "train.json", layout.root / "images")
    assert len(annotations) == 6
    assert layout.class_names == annotations.class_names
    for index in range(6):
        name = annotations.images.names[index].replace(".jpg", ".txt")
        rows = (layout.root / "labels" / name).read_text().splitlines()
        objects = annotations.objects(index)
        assert [int(row.split()[0]) for row in rows] == objects.labels.tolist()
        for row, (outline,) in zip(rows, objects.polygons, strict=True):
            points = np.array(row.split()[1:], dtype=float).reshape(-1, 2) * 100
            np.testing.assert_allclose(points, outline, atol=1e-3)


def test_the_command_ends_with_its_figures(tmp_path):
    root = make_shapes(tmp_path / "shapes", train=8, val=1, image_size=64)
    settings = (
        f"what=data data.root={root} data.image_size=64 data.batch_size=4 what.copies=1 "
        "what.copies_in_memory=1 what.images=8 what.warm_up=4 what.rounds=2 what.memory_epochs=2"
    ).split()
    command = [sys.executable, "-m", "yolov9_lit.bench", *settings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    for case in ("cold", "warm", "memory"):
        measured = figures["images_per_second"]["yolov9_lit"][case]
        assert 0 < measured["cpu_least"] <= measured["cpu"] <= measured["cpu_most"]
    assert len(figures["memory_mb"]) == 2
    done = subprocess.run([*command, "published=nowhere"], cwd=tmp_path, capture_output=True)
    assert b"error: published=nowhere is no clone" in done.stderr
    done = subprocess.run([*command, "data.root=nowhere"], cwd=tmp_path, capture_output=True)
    assert b"error: There is no data folder nowhere: give data.root=DIR." in done.stderr


def test_backends_of_the_metric_agree(tmp_path):
    settings = ["what=eval", "what.images=6", "what.rounds=1", "what.detections=20"]
    command = [sys.executable, "-m", "yolov9_lit.bench", *settings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    hotcoco, pycocotools = json.loads(done.stdout.splitlines()[-1])["backends"].values()
    assert hotcoco["figures"] == pytest.approx(pycocotools["figures"], abs=1e-12)
    assert hotcoco["peak_mb"] > 0


def test_suppression_is_timed(tmp_path):
    settings = ["what=nms", "what.images=2", "what.image_size=64", "what.rounds=1"]
    command = [sys.executable, "-m", "yolov9_lit.bench", *settings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["ms"]["yolov9_lit"]["median"] > 0
    assert all(share > 0.99 for share in figures["shared"].values())


def test_without_the_benchmarks_the_command_says_where_they_are(tmp_path):
    """As in an installed wheel: the package with its configs, and nothing beside it."""
    package = Path(yolov9_lit.__file__).parent
    shutil.copytree(package, tmp_path / "yolov9_lit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(package.parent / "conf", tmp_path / "yolov9_lit" / "conf")
    command = [sys.executable, "-m", "yolov9_lit.bench", "what=data", f"data.root={tmp_path}"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"error: {tmp_path} has no benchmarks: install the package from" in done.stderr
