"""The embedded data set: exact boxes, equal for equal seeds, whole or absent."""

import contextlib
import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.images import load_image
from yolov9_lit.data.prepare import shape_drawing, shapes
from yolov9_lit.data.prepare.scenery import SCENERIES
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError

SMALL = {"train": 12, "val": 4, "image_size": 96}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("sets") / "shapes", **SMALL)


@pytest.fixture(scope="module")
def hard_root(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("sets") / "hard", **SMALL, scenery="hard")


@pytest.fixture(params=["root", "hard_root"])
def any_root(request):
    return request.getfixturevalue(request.param)


def annotation_bytes(root):
    return [path.read_bytes() for path in sorted((root / "annotations").iterdir())]


def image_hashes(root):
    return [hashlib.sha256(path.read_bytes()).digest() for path in sorted(root.rglob("*.jpg"))]


def test_layout_and_sizes(root):
    for split, count in (("train2017", 12), ("val2017", 4)):
        ours = read_coco(root / "annotations" / f"instances_{split}.json", root / split)
        assert len(ours) == count
        assert ours.class_names == ("circle", "triangle", "square", "star")
        assert set(np.diff(ours.offsets)) <= {1, 2, 3, 4}
        assert ((ours.boxes[:, 2:] - ours.boxes[:, :2]) >= 0.2 * 96).all()
        assert all(load_image(ours.images, i).shape == (96, 96, 3) for i in range(count))
    ids = [category.id for category in ours.categories]
    assert ids != list(range(1, 1 + len(ids)))


def test_the_easy_set_is_the_one_that_earlier_versions_drew(root):
    """Figures of earlier runs stay comparable. What a shape is, not how it is compressed."""
    found = hashlib.sha256(b"".join(annotation_bytes(root))).hexdigest()
    assert found == "dfa16577d07db6fffa5dd41f629599529abb3f9cb5d2221254b1c7b5417dd3a7"
    pixels = hashlib.sha256()
    for scene in shapes._scenes({"seed": 0, "train": 12, "image_size": 96}, 0):
        pixels.update(shape_drawing.draw(scene.rng, SCENERIES["easy"], scene.shapes, 96).tobytes())
    assert pixels.hexdigest() == "5b3b14739609f5c309bc3143464844437206b8efd0fdd4f0c9f3b3a4cf2602b2"


def test_the_hard_set_has_many_alike_kinds_of_all_sizes_that_cover_each_other(hard_root):
    ours = read_coco(
        hard_root / "annotations" / "instances_train2017.json", hard_root / "train2017"
    )
    assert len(ours.class_names) == 12
    sides = (ours.boxes[:, 2:] - ours.boxes[:, :2]).max(axis=1) / 96
    assert sides.min() < 0.12 < 0.35 < sides.max()
    content = json.loads((hard_root / "annotations" / "instances_train2017.json").read_text())
    seen = np.array([a["keypoints"][2::3] for a in content["annotations"]])
    assert 0 < (seen == 1).mean() < 0.2


def test_an_unknown_scenery_is_refused(tmp_path):
    with pytest.raises(UserError, match="easy, hard"):
        make_shapes(tmp_path / "set", **SMALL, scenery="harder")


def test_boxes_and_areas_fit_the_polygons(any_root):
    with contextlib.redirect_stdout(io.StringIO()):
        oracle = COCO(any_root / "annotations" / "instances_train2017.json")
    for entry in oracle.anns.values():
        mask = oracle.annToMask(entry)
        rows, columns = np.nonzero(mask)
        x, y, w, h = entry["bbox"]
        drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose([x, y, x + w, y + h], drawn, atol=2.5)
        points = np.array(entry["segmentation"][0]).reshape(-1, 2)
        rim = cv2.arcLength(points.astype(np.float32), closed=True)
        assert mask.sum() == pytest.approx(entry["area"], rel=0.06, abs=rim / 4)
        np.testing.assert_allclose([x, y], points.min(axis=0))
        np.testing.assert_allclose([x + w, y + h], points.max(axis=0))


def test_keypoints_lie_on_the_outline_around_the_centre(root):
    content = json.loads((root / "annotations" / "instances_train2017.json").read_text())
    for entry in content["annotations"]:
        outline = np.array(entry["segmentation"][0], np.float32).reshape(-1, 2)
        *rim, centre = np.array(entry["keypoints"]).reshape(-1, 3)[:, :2]
        assert entry["num_keypoints"] == 5
        assert cv2.pointPolygonTest(outline, tuple(centre), True) > 3
        for point, direction in zip(rim, [(0, -1), (0, 1), (-1, 0), (1, 0)], strict=True):
            far = centre + np.arange(0, 60, 0.02)[:, None] * direction
            inside = [cv2.pointPolygonTest(outline, tuple(p), False) >= 0 for p in far]
            np.testing.assert_allclose(point, far[inside.index(False)], atol=0.03)


def test_keypoints_below_a_later_shape_are_hidden():
    square = np.array([(10.0, 10.0), (30, 10), (30, 30), (10, 30)])
    kind, colour = SCENERIES["easy"].kinds[2], np.zeros(3)
    below, above = (
        shape_drawing.Shape(kind, np.array([20.0 + x, 20.0]), square + np.array([x, 0]), colour)
        for x in (0, 18)
    )
    found = [
        np.array(shapes._annotation(shape, others)["keypoints"]).reshape(-1, 3).tolist()
        for shape, others in ((below, [above]), (above, []))
    ]
    assert found[0] == [[20, 10, 2], [20, 30, 2], [10, 20, 2], [30, 20, 1], [20, 20, 2]]
    assert found[1] == [[38, 10, 2], [38, 30, 2], [28, 20, 2], [48, 20, 2], [38, 20, 2]]


def test_a_set_without_keypoints_gets_them_and_keeps_its_images(root, tmp_path):
    earlier = make_shapes(tmp_path / "set", **SMALL)
    marker = json.loads((earlier / "shapes.json").read_text())
    (earlier / "shapes.json").write_text(json.dumps(marker | {"version": 1}))
    for file in (earlier / "annotations").iterdir():
        content = json.loads(file.read_text())
        for entry in content["annotations"]:
            del entry["keypoints"], entry["num_keypoints"]
        file.write_text(json.dumps(content))
    images = sorted(path.stat().st_ino for path in earlier.rglob("*.jpg"))
    with pytest.raises(UserError, match="other parameters"):
        make_shapes(earlier, **SMALL, seed=3)
    make_shapes(earlier, **SMALL)
    assert annotation_bytes(earlier) == annotation_bytes(root)
    assert sorted(path.stat().st_ino for path in earlier.rglob("*.jpg")) == images


def test_pixels_lie_where_the_polygons_do():
    corners = np.array([[10.0, 5.0], [30.5, 5.0], [30.5, 20.25], [10.0, 20.25]])
    cover = shape_drawing.coverage(corners, 40)
    assert cover.sum() == pytest.approx(20.5 * 15.25, rel=0.03)
    assert cover[5:20, 10:30].min() > 0.9
    outside = cover.copy()
    outside[5:21, 10:31] = 0
    assert outside.max() <= 0.3  # OpenCV draws the border of a polygon too.


def test_equal_seeds_give_equal_sets(root, tmp_path):
    again = make_shapes(tmp_path / "again", **SMALL)
    other = make_shapes(tmp_path / "other", **SMALL, seed=1)
    hard = [make_shapes(tmp_path / n, **SMALL, scenery="hard") for n in ("first", "second")]
    assert image_hashes(hard[0]) == image_hashes(hard[1]) != image_hashes(root)
    assert annotation_bytes(again) == annotation_bytes(root)
    assert image_hashes(again) == image_hashes(root)
    assert annotation_bytes(other) != annotation_bytes(root)


def test_a_second_call_draws_nothing(root, monkeypatch):
    monkeypatch.setattr(shapes, "_draw_images", pytest.fail)
    assert make_shapes(root, **SMALL) == root


def test_concurrent_first_runs_end_with_one_whole_set(root, tmp_path):
    target = tmp_path / "shared"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: make_shapes(target, **SMALL), range(4)))
    assert annotation_bytes(target) == annotation_bytes(root)
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_shapes(tmp_path / "set", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_foreign_folders_are_refused(root, tmp_path):
    with pytest.raises(UserError, match="other parameters"):
        make_shapes(root, **SMALL, seed=3)
    with pytest.raises(UserError, match="other parameters"):
        make_shapes(root, **SMALL, scenery="hard")
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="not a shapes data set"):
        make_shapes(tmp_path, **SMALL)
    with pytest.raises(UserError, match="written"):
        make_shapes(tmp_path / "thesis.txt" / "set", **SMALL)
    assert json.loads((root / "shapes.json").read_text())["seed"] == 0
