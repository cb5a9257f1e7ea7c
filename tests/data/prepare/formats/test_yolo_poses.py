"""Poses and outlines in YOLO labels without `kpt_shape`: what lines are taken for, and its word."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.prepare.formats.source import read_splits
from yolov9_lit.data.prepare.formats.yolo import YoloFolder
from yolov9_lit.errors import UserError


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


def plain_boxes(rng):
    center, size = boxes(rng)
    return [*center, *size]


def one_of(*lines):
    """Lines of several kinds, in any order."""
    return lambda rng: lines[rng.integers(len(lines))](rng)


def read(root, line, count=40, config="", told=()):
    """The boxes and notes of a set of `count` lines, an image each."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    lines = [line(rng) for _ in range(count)]
    for i, values in enumerate(lines):
        Image.new("RGB", (100, 50)).save(root / f"images/{i:03}.png")
        text = " ".join(f"{value:.6f}" for value in values)
        (root / f"images/{i:03}.txt").write_text(f"0 {text}\n")
    (root / "data.yaml").write_text(f"train: images\nnames: [x]\n{config}")
    faults = Faults(root)
    train = read_splits(YoloFolder(root, faults))["train"]
    assert {item.fault for item in faults.found} == set(told)
    found = np.array([item.entry["bbox"] for item in train.objects])
    return np.array([values[:4] for values in lines]), found, dict(faults.notes)


def in_pixels(stated):
    """Boxes of centre and size in fractions as COCO's of an image of 100 x 50 pixels."""
    return np.c_[stated[:, :2] - stated[:, 2:] / 2, stated[:, 2:]] * [100, 50, 100, 50]


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
    np.testing.assert_allclose(found, in_pixels(stated), atol=1e-3)
    assert notes == {Note.POSES: 40}


@pytest.mark.parametrize(
    "line",
    [
        some_corners,
        rectangles,
        one_of(some_corners, plain_boxes),
        one_of(rectangles, plain_boxes),
        one_of(partial(polygons, corners=5), plain_boxes),
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


@pytest.mark.parametrize(
    "line",
    [
        one_of(poses, plain_boxes),
        one_of(partial(poses, visible=[0, 1, 2]), plain_boxes),
        one_of(partial(poses, visible=[1, 2]), partial(poses, points=17), plain_boxes),
    ],
)
def test_beside_lines_of_boxes_poses_give_their_boxes_too(tmp_path, line):
    stated, found, notes = read(tmp_path, line)
    np.testing.assert_allclose(found, in_pixels(stated), atol=1e-3)
    assert [*notes] == [Note.POSES]
    assert 0 < notes[Note.POSES] < 40


def test_boxes_before_them_do_not_hide_poses(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    lines = [*(plain_boxes(rng) for _ in range(3000)), *(poses(rng) for _ in range(9))]
    for i, held in enumerate((lines[:3000], lines[3000:])):
        Image.new("RGB", (100, 50)).save(tmp_path / f"images/{i}.png")
        text = "".join(f"0 {' '.join(map(str, values))}\n" for values in held)
        (tmp_path / f"images/{i}.txt").write_text(text)
    (tmp_path / "data.yaml").write_text("train: images\nnames: [x]\n")
    faults = Faults(tmp_path)
    found = read_splits(YoloFolder(tmp_path, faults))["train"].objects
    boxes = np.array([item.entry["bbox"] for item in found])
    np.testing.assert_allclose(boxes, in_pixels(np.array([line[:4] for line in lines])), atol=1e-3)
    assert faults.notes == {Note.POSES: 9}


def test_poses_among_outlines_are_told_by_their_length(tmp_path):
    """No outline has as many numbers here: 22."""
    line = one_of(partial(poses, points=9), some_corners, plain_boxes)
    _, found, notes = read(tmp_path, line)
    assert 0 < notes[Note.POSES] < 40
    assert (found[:, 2:] <= [41, 21]).all()


def test_poses_among_outlines_of_their_length_name_the_key(tmp_path):
    line = one_of(poses, partial(polygons, corners=7))
    assert Note.POSES_OR_OUTLINES in read(tmp_path, line)[2]


def test_with_kpt_shape_lines_of_another_length_are_told_and_left_out(tmp_path):
    line = one_of(partial(poses, visible=[1, 2]), plain_boxes, partial(polygons, corners=5))
    told = [Fault.LINE_KEYPOINTS]
    stated, found, _ = read(tmp_path, line, config="kpt_shape: [5, 3]", told=told)
    nearest = np.abs(found[:, None] - in_pixels(stated)).max(axis=2).min(axis=1)
    assert 0 < len(found) < 40
    assert nearest.max() < 1e-3


@pytest.mark.parametrize("value", ["17", "[17]", "[17, 4]", "[17, 3, 1]", "{a: 1}", "[-1, 2]"])
def test_a_kpt_shape_that_is_none_is_an_error(tmp_path, value):
    with pytest.raises(UserError, match="kpt_shape"):
        read(tmp_path, poses, config=f"kpt_shape: {value}")
