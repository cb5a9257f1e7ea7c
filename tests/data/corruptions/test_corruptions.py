"""Corruptions: the same wherever an image is read, worse with severity, and truth that moves."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import albumentations as A
import cv2
import hotcoco.mask
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from yolov9_lit.app.configs import compose
from yolov9_lit.building import CONFIG_DIR
from yolov9_lit.data.annotations import ImageObjects
from yolov9_lit.data.corruptions import camera, coco_c
from yolov9_lit.data.corruptions.corruption import Corruption
from yolov9_lit.data.corruptions.elastic import Elastic
from yolov9_lit.data.corruptions.suite import Suite, one
from yolov9_lit.data.corruptions.truth import moved_truth
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.extra import Extra
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError

LIBRARY = {
    name: instantiate(node)
    for file in ("_coco_c_kinds", "_camera_kinds")
    for name, node in OmegaConf.load(CONFIG_DIR / f"corruption/{file}.yaml").library.items()
}
MOVING = ("elastic_transform", "lens_distortion")


def picture(height=240, width=320):
    """Clouds of colour at several scales: edges, plains, dark and bright."""
    rng = np.random.default_rng(0)
    image = np.zeros((height, width, 3), dtype=np.float32)
    for sigma in (2, 6, 18):
        noise = rng.standard_normal((height, width, 3)).astype(np.float32)
        image += sigma * cv2.GaussianBlur(noise, (0, 0), sigma)
    return cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def distance(kind, changed, image):
    """Mean square; frost, which takes light away and adds it, by what is left of the pattern."""
    if kind == "frost":
        return 1 - np.corrcoef(changed.ravel(), image.ravel())[0, 1]
    return float(np.square(changed - image).mean())


@pytest.mark.parametrize("kind", LIBRARY)
def test_severity_goes_away_from_the_image(kind):
    image, distances = picture(), []
    for severity in range(1, 6):
        corruption = one(LIBRARY, kind, severity)
        changed = corruption.image(image, 3)
        assert (changed == corruption.image(image, 3)).all()
        distances.append(distance(kind, changed.astype(float), image))
    assert distances[0] > 0
    assert distances == sorted(distances)


def test_the_fifteen_kinds_are_those_of_the_paper_and_draw_by_the_image():
    suite = instantiate(compose("eval", ["ckpt=x", "corruption=coco_c"]).corruption)
    assert len(suite.corruptions()) == 75
    image = picture()
    noise = one(LIBRARY, "gaussian_noise", 2)
    assert (noise.image(image, 1) != noise.image(image, 2)).any()


_DIGEST = """
import hashlib
from test_corruptions import LIBRARY, one, picture
digest = hashlib.sha256()
for kind in LIBRARY:
    digest.update(one(LIBRARY, kind, 4).image(picture(), 139).tobytes())
print(digest.hexdigest())
"""


def test_another_process_with_another_hash_seed_draws_the_same():
    here = Path(__file__).resolve()
    paths = os.pathsep.join([str(here.parents[3]), str(here.parent)])
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize("outlined", [True, False])
def test_boxes_masks_and_keypoints_go_where_a_mark_goes(kind, severity, outlined):
    """A white mark is drawn, the image corrupted, and the mark looked for in its pixels."""
    height, width, image_id = 120, 160, 5
    corruption = one(LIBRARY, kind, severity)
    warp = corruption.warp(height, width, image_id)
    for left, top, right, bottom in ((60, 40, 100, 70), (20, 20, 50, 90), (110, 60, 140, 100)):
        mark = np.zeros((height, width), dtype=np.uint8)
        mark[top:bottom, left:right] = 255
        seen = corruption.image(np.dstack([mark] * 3), image_id)[..., 0] > 127
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        expected = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
        centre = np.array([[[(left + right) / 2, (top + bottom) / 2, 2]]], dtype=np.float32)
        objects = ImageObjects(
            boxes=np.array([[left, top, right, bottom]], dtype=np.float32),
            labels=np.zeros(1, dtype=np.int64),
            crowd=np.zeros(1, dtype=bool),
            polygons=FlatPolygons.pack([[corners] if outlined else []]),
            keypoints=Keypoints(centre, np.arange(1)),
            extra=Extra.none(1),
        )
        moved = warp.objects(objects)
        np.testing.assert_allclose(moved.boxes[0], expected, atol=1.5)
        assert np.abs(moved.boxes[0] - (left, top, right, bottom)).max() > 0.2
        both = (warp.mask(mark) > 0) & seen
        assert both.sum() > 0.95 * max((warp.mask(mark) > 0).sum(), seen.sum())
        x, y, visible = moved.keypoints.values[0, 0]
        dot = np.zeros((height, width, 3), dtype=np.uint8)
        cv2.circle(dot, ((left + right) // 2, (top + bottom) // 2), 3, (255,) * 3, -1)
        places = np.argwhere(corruption.image(dot, image_id)[..., 0] > 127)
        np.testing.assert_allclose([y - 0.5, x - 0.5], places.mean(axis=0), atol=1.2)
        assert visible == 2


def test_no_distortion_moves_nothing():
    identity = Corruption("none", 1, Elastic(distance=0, sigma=16))
    points = np.random.default_rng(0).uniform(1, 39, (500, 2)).astype(np.float32)
    places, found = identity.warp(40, 40, 1).points(points)
    assert found.all()
    np.testing.assert_allclose(places, points, atol=1e-3)


@pytest.fixture(scope="module")
def shapes_data(tmp_path_factory):
    """Build the data module of eight drawn images, set up for a test."""
    root = tmp_path_factory.mktemp("shapes")
    root = root / "drawn"
    make_shapes(root, train=2, val=8, place=root)

    def build(**settings):
        paths = (f"{split}2017" for split in ("train", "val"))
        arguments = {}
        for split, name in zip(("train", "val"), paths, strict=True):
            arguments |= {f"{split}_images": name}
            arguments |= {f"{split}_annotations": f"annotations/instances_{name}.json"}
        data = DetectionDataModule(
            root, **arguments, **{"image_size": 64, "num_workers": 0, "masks": True} | settings
        )
        data.setup("test")
        return data

    return build


@pytest.mark.parametrize("kind", MOVING)
def test_truth_moves_as_the_targets_of_a_batch_do(kind, shapes_data):
    data = shapes_data()
    before = data.ground_truth("test", masks=True)
    data.corruption = one(LIBRARY, kind, 5)
    after = data.ground_truth("test", masks=True)
    annotations = data.annotations("test")
    assert after == moved_truth(before, annotations, data.corruption)
    changed = 0
    for index, image_id in enumerate(annotations.image_ids.tolist()):
        height, width = annotations.sizes[index].tolist()
        expected = data.corruption.warp(height, width, image_id).objects(annotations.objects(index))
        entries = [e for e in after["annotations"] if e["image_id"] == image_id]
        for entry, box in zip(entries, expected.boxes, strict=True):
            x, y, w, h = entry["bbox"]
            np.testing.assert_allclose([x, y, x + w, y + h], box, atol=0.05)
            rows, columns = np.nonzero(hotcoco.mask.decode(entry["segmentation"]))
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(around, box, atol=2.5)
        changed += len(entries)
    assert changed == len(after["annotations"]) > 0
    data.corruption = one(LIBRARY, "fog", 5)
    assert data.ground_truth("test", masks=True) == before


@pytest.mark.parametrize("kind", ["gaussian_noise", "lens_distortion"])
def test_workers_and_batch_size_change_nothing(kind, shapes_data):
    """Inputs by image id are equal bit by bit with and without workers, in one shape of input."""
    seen = []
    for settings in ({"num_workers": 0, "batch_size": 4}, {"num_workers": 2, "batch_size": 3}):
        data = shapes_data(eval_shape=(96, 96), **settings)
        data.corruption = one(LIBRARY, kind, 3)
        seen.append(
            {
                info.image_id: (image.numpy(), boxes.numpy()[valid.numpy()])
                for batch in data.test_dataloader()
                for image, boxes, valid, info in zip(
                    batch.images,
                    batch.targets.boxes,
                    batch.targets.valid,
                    batch.infos,
                    strict=True,
                )
            }
        )
    first, second = seen
    assert first.keys() == second.keys()
    for image_id, (image, boxes) in first.items():
        assert (image == second[image_id][0]).all()
        np.testing.assert_array_equal(boxes, second[image_id][1])


def test_a_users_own_kind_is_an_albumentations_transform_or_a_function():
    suite = Suite({"rain": A.RandomRain(), "dark": camera.low_light}, severities=(2, 5))
    made = [(corruption.kind, corruption.severity) for corruption in suite.corruptions()]
    assert made == [("rain", 2), ("rain", 5), ("dark", 2), ("dark", 5)]
    assert (suite.corruptions()[0].image(picture(), 1) != picture()).any()


@pytest.mark.parametrize("transform", [A.Rotate(), A.Sequential([A.HorizontalFlip()])])
def test_what_boxes_cannot_follow_is_refused(transform):
    with pytest.raises(UserError, match=r"^corruption mine moves pixels by .*: give a transform"):
        Corruption("mine", 1, transform)


def test_an_unknown_kind_and_another_size_are_told():
    with pytest.raises(UserError, match=r"^There is no corruption fogg: choose from .*fog"):
        Suite(LIBRARY, ["fogg"]).corruptions()
    with pytest.raises(UserError, match=r"^corruption.kinds and corruption.severities name"):
        Suite(LIBRARY, []).corruptions()
    grows = replace(one({"a": coco_c.fog}, "a", 1), transform=A.InvertImg())
    assert grows.image(picture(), 1).shape == picture().shape


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 3), (33, 500)])
@pytest.mark.parametrize("kind", LIBRARY)
def test_tiny_and_thin_images_keep_their_size(kind, size):
    image = np.full((*size, 3), 90, dtype=np.uint8)
    assert one(LIBRARY, kind, 5).image(image, 1).shape == image.shape
