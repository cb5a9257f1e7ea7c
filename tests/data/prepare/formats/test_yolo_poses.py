"""Poses and outlines in YOLO labels without `kpt_shape`: what lines are taken for, and its word."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data.coco.faults import Faults, Note
from yolov9_lit.data.prepare.formats.source import read_splits
from yolov9_lit.data.prepare.formats.yolo import YoloFolder


def boxes(rng):
    size = rng.uniform(0.1, 0.4, 2)
    return rng.uniform(size / 2, 1 - size / 2), size


def poses(rng, *, visible=None, points=5, within=1.0):
    """A box, and keypoints from one corner of `within` of it to the opposite one."""
    center, size = boxes(rng)
    places = center + size * within * (rng.uniform(0, 1, (points, 2)) - 0.5)
    ends = np.stack([center - size * within / 2, center + size * within / 2])
    places[:2] = ends[:points]
    if points > 2 and not visible:
        places[2] = 0  # Not labelled.
    if visible:
        places = np.c_[places, rng.choice(visible, points)]
    return [*center, *size, *places.ravel()]


def polygons(rng, *, corners=4):
    center, size = boxes(rng)
    angles = np.arange(corners) * 2 * np.pi / corners + rng.uniform(0, 1)
    return (center + np.c_[np.cos(angles), np.sin(angles)] * size / 2).ravel()


def some_corners(rng):
    return polygons(rng, corners=int(rng.integers(3, 9)))


def rectangles(rng):
    center, size = boxes(rng)
    return (center + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size / 2).ravel()


def read(root, line, count=40):
    """The boxes and notes of a set of `count` lines, an image each."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    lines = [line(rng) for _ in range(count)]
    for i, values in enumerate(lines):
        Image.new("RGB", (100, 50)).save(root / f"images/{i:03}.png")
        text = " ".join(f"{value:.6f}" for value in values)
        (root / f"images/{i:03}.txt").write_text(f"0 {text}\n")
    (root / "data.yaml").write_text("train: images\nnames: [x]\n")
    faults = Faults(root)
    train = read_splits(YoloFolder(root, faults))["train"]
    assert not faults.found
    found = np.array([item.entry["bbox"] for item in train.objects])
    return np.array([values[:4] for values in lines]), found, dict(faults.notes)


@pytest.mark.parametrize(
    "line",
    [
        poses,
        partial(poses, points=2),
        partial(poses, visible=[1, 2]),
        partial(poses, visible=[1, 2], points=17),
        partial(poses, visible=[0, 1, 2], points=6, within=0.2),
        partial(poses, visible=[1, 2], points=1),
    ],
)
def test_poses_give_the_box_before_the_keypoints(tmp_path, line):
    stated, found, notes = read(tmp_path, line)
    corner, size = stated[:, :2] - stated[:, 2:] / 2, stated[:, 2:]
    np.testing.assert_allclose(found, np.c_[corner, size] * [100, 50, 100, 50], atol=1e-3)
    assert notes == {Note.POSES: 40}


@pytest.mark.parametrize(
    "line",
    [
        some_corners,
        rectangles,
        *(partial(polygons, corners=corners) for corners in (3, 4, 5, 8, 20)),
    ],
)
def test_outlines_stay_outlines_also_those_of_one_length(tmp_path, line):
    _, found, notes = read(tmp_path, line)
    assert len(found) == 40
    assert notes == {}
    assert (found[:, 2:] <= [41, 21]).all()


@pytest.mark.parametrize(
    ("line", "count"), [(partial(poses, within=0.3), 40), (poses, 2), (partial(poses, points=1), 9)]
)
def test_where_nothing_tells_them_apart_the_key_that_does_is_named(tmp_path, line, count):
    assert read(tmp_path, line, count)[2] == {Note.POSES_OR_OUTLINES: count}
    assert "kpt_shape" in Note.POSES_OR_OUTLINES.value
