"""Keypoints from the annotation file to the batch, against what the images show."""

import json
from dataclasses import replace

import albumentations as A
import numpy as np
import pytest
import torch
from drawn_samples import Forgets
from PIL import Image
from pycocotools.cocoeval import Params
from targets_by_image import by_image

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.keypoint_layout import layout_of_names
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.keypoint_settings import KeypointSettings
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.sample import Sample
from yolov9_lit.data.shards.stream import StreamDataModule
from yolov9_lit.data.shards.writer import write_shards
from yolov9_lit.data.transforms.affine import LEAST_SIDE, RandomAffine
from yolov9_lit.data.transforms.albumentations import Albumentations
from yolov9_lit.data.transforms.copy_paste import CopyPaste
from yolov9_lit.data.transforms.flip import RandomFlip
from yolov9_lit.data.transforms.mixup import MixUp
from yolov9_lit.data.transforms.mosaic import Mosaic
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError

NAMES = ["nose", "left_eye", "right_eye", "tail"]
MIRRORED = np.array([0, 2, 1, 3])
SIZE = 96
COLOURS = {"nose": (255, 0, 0), "eye": (0, 255, 0), "tail": (0, 0, 255)}
PARTS = ["train", "train.json", "train", "train.json"]


def animal(x, y, turn):
    """A nose, two eyes left and right of it as the animal sees them, and a tail: (4, 3)."""
    away = np.array([[0, -9], [-6, 0], [6, 0], [0, 9]])
    cos, sin = np.cos(turn), np.sin(turn)
    points = away @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return np.concatenate((points, np.full((4, 1), 2)), axis=1)


def drawn(rng, count, shape=(SIZE, SIZE)):
    """A black image with dots at the keypoints of some animals, whose eyes look alike."""
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width] + 0.5
    places = [(x, y) for x in (24, 72) for y in (24, 72) if x < width - 20 and y < height - 20]
    chosen = [places[i] for i in rng.permutation(len(places))[:count]]
    animals = np.array([animal(*place, rng.uniform(0, 7)) for place in chosen]).reshape(-1, 4, 3)
    for found in animals:
        for (x, y, _), name in zip(found, ("nose", "eye", "eye", "tail"), strict=True):
            image[(rows - y) ** 2 + (columns - x) ** 2 < 3.2**2] = COLOURS[name]
    points = animals[..., :2]
    boxes = np.concatenate((points.min(axis=1) - 4, points.max(axis=1) + 4), axis=1)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 1, 4, 2)
    return Sample(
        image,
        boxes.astype(np.float32),
        np.zeros(len(boxes), np.int64),
        list(corners),
        Keypoints(animals.astype(np.float32), MIRRORED),
    )


STEPS = {
    "mosaic": [Mosaic(SIZE)],
    "mosaic, copy-paste and scaling": [Mosaic(SIZE), CopyPaste(1.0), RandomAffine(SIZE, scale=0.3)],
    "turned": [RandomAffine(SIZE, scale=0.3, degrees=180, shear=15)],
    "mosaic, turned": [Mosaic(SIZE), RandomAffine(SIZE, scale=0.3, degrees=180)],
    "copies": [CopyPaste(1.0)],
    "mirrored": [RandomFlip(0.5, 0.5)],
    "blended": [RandomFlip(), MixUp(1.0, alpha=1e6)],
    "all": [
        Mosaic(SIZE), CopyPaste(0.5), RandomAffine(SIZE, scale=0.3), MixUp(0.5), RandomFlip(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_after_augmentation_keypoints_lie_where_the_image_shows_them(steps):
    """Left is left also in a mirror: seen from the nose, eyes are on the sides they were."""
    seen = turned = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        shapes = [(SIZE, SIZE)] * 3 + [(60, SIZE)]
        raw = [drawn(rng, int(rng.integers(1, 5)), shape) for shape in shapes]
        sample = Augmentation(steps)(raw.__getitem__, 0, range(4), image_size=SIZE, rng=rng)
        height, width = sample.image.shape[:2]
        for k, keypoints in enumerate(sample.keypoints.values):
            others = np.delete(sample.boxes, k, axis=0) + np.array([-1, -1, 1, 1])
            x, y, visible = keypoints.T
            assert set(visible) <= {0, 2}
            shown = visible > 0
            assert ((x >= 0) & (x <= width) & (y >= 0) & (y <= height))[shown].all()
            for px, py, name in zip(x[shown], y[shown], np.array(NAMES)[shown], strict=True):
                if ((others[:, :2] <= (px, py)) & (others[:, 2:] >= (px, py))).all(1).any():
                    continue  # A copy may hide it.
                if min(px, py, width - px, height - py) < LEAST_SIDE:
                    continue  # So may one of which too little is seen to be kept.
                column, row = min(int(px), width - 1), min(int(py), height - 1)
                colour = sample.image[row, column].astype(int)
                kind = name.split("_")[-1]
                assert colour[np.flatnonzero(COLOURS[kind])[0]] > 40, (seed, kind, px, py, colour)
                seen += 1
            if shown.all():
                ahead = keypoints[0, :2] - keypoints[3, :2]
                aside = keypoints[2, :2] - keypoints[1, :2]
                turn = np.sign(ahead[0] * aside[1] - ahead[1] * aside[0])
                turned += 1
                assert turn == 1, (seed, keypoints)
    assert seen > 60
    assert turned > 10


def test_a_mirror_of_other_pairs_is_seen_by_the_test_above():
    """The sides are told by the images alone: with eyes that stay in place they are wrong."""
    rng = np.random.default_rng(0)
    sample = drawn(rng, 1)
    wrong = replace(sample, keypoints=Keypoints(sample.keypoints.values, np.arange(4)))
    found = RandomFlip(1.0)(wrong, rng, lambda: sample).keypoints.values[0]
    ahead, aside = found[0, :2] - found[3, :2], found[2, :2] - found[1, :2]
    assert ahead[0] * aside[1] - ahead[1] * aside[0] < 0


def write_set(root, annotations, category=None, name="train", sizes=((45, 60),)):
    """A data set of images of those heights and widths."""
    (root / name).mkdir(parents=True, exist_ok=True)
    images = []
    for i, (height, width) in enumerate(sizes, start=1):
        Image.new("RGB", (width, height), (9, 9, 9)).save(root / name / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": height, "width": width})
    entries = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20 + i, 20]} | entry
        for i, entry in enumerate(annotations, start=1)
    ]
    category = category or {"keypoints": NAMES, "skeleton": [[1, 2], [1, 3], [1, 4]]}
    categories = [{"id": 1, "name": "cat"} | category, {"id": 2, "name": "tree"}]
    content = {"images": images, "annotations": entries, "categories": categories}
    (root / f"{name}.json").write_text(json.dumps(content))
    return root


def opened(root, **settings):
    data = DetectionDataModule(
        root, *PARTS, num_workers=0, batch_size=1, eval_batch_size=1, cache=None,
        **{"keypoints": KeypointSettings(), "image_size": 64} | settings,
    )  # fmt: skip
    data.setup("fit")
    return data


def test_batches_have_the_keypoints_of_each_box(tmp_path):
    given = [15, 15, 2, 12, 18.5, 1, 0, 0, 0, 55, 39, 2]
    write_set(
        tmp_path,
        [{"keypoints": given, "num_keypoints": 3}, {"category_id": 2, "bbox": [1, 1, 8, 9]},
         {"iscrowd": 1, "keypoints": given}],
    )  # fmt: skip
    data = opened(tmp_path)
    assert data.keypoints is not None
    assert data.keypoints.edges == ((0, 1), (0, 2), (0, 3))
    assert data.keypoints.mirrored == (0, 2, 1, 3)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        (batch,) = loader
        (info,) = batch.infos
        keypoints = batch.targets.keypoints
        assert keypoints.shape == (1, 2, 4, 3)
        assert keypoints.dtype == torch.float32
        scale = 64 / 60
        left, top = (info.left, info.top) if info.scale_x != 1 else (0, 8)
        x, y, visible = keypoints[0, 0].T
        assert visible.tolist() == [2, 1, 0, 2]
        shown = visible > 0
        np.testing.assert_allclose(x[shown], np.array([15, 12, 55]) * scale + left, atol=1e-4)
        np.testing.assert_allclose(y[shown], np.array([15, 18.5, 39]) * scale + top, atol=1e-4)
        assert not keypoints[0, 1].any()


def test_tasks_without_keypoints_have_none(tmp_path):
    write_set(tmp_path, [{"keypoints": [15, 15, 2] * 4, "num_keypoints": 4}])
    data = opened(tmp_path, keypoints=None)
    assert data.keypoints is None
    assert next(iter(data.train_dataloader())).targets.keypoints is None
    assert next(iter(data.val_dataloader())).targets.keypoints is None


def test_keypoints_outside_the_image_are_not_trained_on(tmp_path):
    points = [70, 15, 2, 12, -8, 1, 60, 45, 2, 0, 0, 1]
    write_set(tmp_path, [{"keypoints": points, "num_keypoints": 4}])
    data = opened(tmp_path)
    assert data.annotations("train").keypoints[0, :, 2].tolist() == [2, 1, 2, 1]
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert next(iter(loader)).targets.keypoints[0, 0, :, 2].tolist() == [0, 0, 2, 1]


WRONG = {
    "too few numbers": ({"keypoints": [1, 2, 2]}, "lacks three numbers a keypoint"),
    "text": ({"keypoints": "no"}, "lacks three numbers a keypoint"),
    "far": ({"keypoints": [1e12, 2, 2] * 4}, "has a keypoint that is not finite"),
    "visibility": ({"keypoints": [12, 12, 3] * 4}, "has a visibility other than 0, 1 and 2"),
    "count": ({"keypoints": [12, 12, 2] * 4, "num_keypoints": 3}, "has another num_keypoints than"),
    "none of a count": ({"num_keypoints": 2}, "has another num_keypoints than"),
}


@pytest.mark.parametrize(("entry", "told"), WRONG.values(), ids=WRONG)
def test_faulty_keypoints_are_told_and_their_box_is_kept(entry, told, tmp_path, caplog):
    write_set(tmp_path, [entry])
    annotations = read_coco(tmp_path / "train.json", tmp_path / "train")
    assert told in caplog.text
    assert annotations.boxes.shape == (1, 4)
    assert annotations.keypoints.shape == (1, 4, 3)
    kept = "num_keypoints" in told
    assert annotations.keypoints.any() == (kept and "keypoints" in entry)
    with pytest.raises(UserError, match="has 1 fault"):
        read_coco(tmp_path / "train.json", tmp_path / "train", strict=True)


def test_keypoints_outside_their_box_or_image_are_noted(tmp_path, caplog):
    caplog.set_level("INFO")
    inside, aside, beyond = [12, 12, 2] * 4, [50, 12, 2] * 4, [12, 12, 2, 12, -9, 1] * 2
    write_set(tmp_path, [{"keypoints": points} for points in (inside, aside, beyond, beyond)])
    read_coco(tmp_path / "train.json", tmp_path / "train", strict=True)
    assert "3 objects have keypoints outside their box" in caplog.text
    assert "2 objects have keypoints outside their image" in caplog.text


def layout_of(tmp_path, category) -> Annotations:
    write_set(tmp_path, [{}], category)
    return read_coco(tmp_path / "train.json", tmp_path / "train").layout


def test_a_file_says_what_names_do_not(tmp_path):
    category = {
        "keypoints": ["a", "b", "c"],
        "skeleton": [[3, 1]],
        "mirrored": [1, 0, 2],
        "sigmas": [0.1, 0.2, 0.3],
    }
    layout = layout_of(tmp_path, category)
    assert layout.edges == ((2, 0),)
    assert layout.mirrored == (1, 0, 2)
    assert layout.sigmas == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    "part",
    [
        {"skeleton": [[0, 1]]},
        {"skeleton": [[1, 5]]},
        {"skeleton": [[1]]},
        {"skeleton": 3},
        {"sigmas": [0.1]},
        {"sigmas": [0.1, 0.1, 0.1, -1]},
        {"sigmas": [0.1, 0.1, 0.1, None]},
        {"mirrored": [1, 2, 3, 0]},
        {"mirrored": [0, 1, 2, 4]},
    ],
)
def test_a_part_that_does_not_fit_is_told_and_left_out(part, tmp_path, caplog):
    layout = layout_of(tmp_path, {"keypoints": NAMES} | part)
    assert layout == layout_of_names(NAMES)
    assert "does not fit" in caplog.text


def test_the_other_parts_count_where_one_does_not_fit(tmp_path, caplog):
    sound = {"mirrored": [1, 0, 2, 3], "sigmas": [0.1, 0.2, 0.3, 0.4]}
    layout = layout_of(tmp_path, {"keypoints": NAMES, "skeleton": [[0, 1]]} | sound)
    assert layout == layout_of_names(NAMES)._replace(**{k: (*v,) for k, v in sound.items()})
    assert "category 1, skeleton: edges name keypoint -1" in caplog.text


def edited(root, change, name="train"):
    file = root / f"{name}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_what_another_category_states_of_the_same_names_is_told(tmp_path, caplog):
    first = {"keypoints": NAMES, "sigmas": [0.1, 0.2, 0.3, 0.4]}
    write_set(tmp_path, [{}], first)
    edited(tmp_path, lambda content: content["categories"][1].update(keypoints=NAMES))
    assert opened(tmp_path).keypoints.sigmas == (0.1, 0.2, 0.3, 0.4)
    assert "sigmas than" not in caplog.text, "it states none"
    edited(tmp_path, lambda content: content["categories"][1].update(sigmas=[0.4] * 4))
    assert opened(tmp_path).keypoints.sigmas == (0.1, 0.2, 0.3, 0.4)
    assert "has another skeleton, mirrored or sigmas than category 1" in caplog.text


def test_keypoints_of_a_category_without_are_left_out_and_told(tmp_path, caplog):
    caplog.set_level("INFO")
    points = {"keypoints": [12, 12, 2] * 4, "num_keypoints": 4}
    write_set(tmp_path, [points, points | {"category_id": 2}])
    keypoints = opened(tmp_path).annotations("train").objects(0).keypoints.values
    assert (keypoints[..., 2] > 0).any(axis=1).tolist() == [True, False]
    assert "1 annotation has keypoints that its category does not name" in caplog.text


@pytest.mark.parametrize("names", [["a", "a"], ["a", 3], "ab", [""], {"a": 1}])
def test_names_that_are_none_are_told(names, tmp_path, caplog):
    assert layout_of(tmp_path, {"keypoints": names}) is None
    assert "has no list of different names as keypoints" in caplog.text


def test_names_tell_pairs_and_sigmas():
    pairs = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    coco = ["nose", *(f"{side}_{part}" for part in pairs for side in ("left", "right"))]
    layout = layout_of_names(coco)
    assert layout.mirrored == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    np.testing.assert_allclose(layout.sigmas, Params("keypoints").kpt_oks_sigmas)


@pytest.mark.parametrize(
    "pair",
    ["left-x right-x", "x_l x_r", "L_x R_x", "xLeft xRight", "leftX rightX", "x left x right",
     "left right", "LEFT_X RIGHT_X", "LX RX", "x.l x.r", "front_left_paw front_right_paw"],
)  # fmt: skip
def test_pairs_are_known_by_their_names(pair):
    half = len(pair.split()) // 2
    names = [" ".join(pair.split()[:half]), " ".join(pair.split()[half:])]
    assert layout_of_names(["top", *names]).mirrored == (0, 2, 1)


def test_words_that_hold_a_side_are_no_side():
    names = ["lip", "rip", "bright", "bleft", "left_x", "collar", "corrar"]
    assert layout_of_names(names).mirrored == tuple(range(7))


def test_the_config_says_otherwise(tmp_path):
    write_set(tmp_path, [{"keypoints": [15, 15, 2] * 4, "num_keypoints": 4}])
    settings = KeypointSettings(sigmas=[0.1] * 4, mirrored=[3, 1, 2, 0], edges=[[0, 3]])
    data = opened(tmp_path, keypoints=settings)
    assert data.keypoints == (tuple(NAMES), ((0, 3),), (3, 1, 2, 0), (0.1,) * 4)
    objects = data.annotations("train").objects(0)
    assert objects.keypoints.mirrored.tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sigmas": [0.1] * 3}, "sigmas has 3 entries, but there are 4 keypoints"),
        ({"mirrored": [0, 1]}, "mirrored has 2 entries"),
        ({"mirrored": [1, 2, 3, 0]}, "mirrored does not pair the keypoints 0 to 3"),
        ({"edges": [[0, 4]]}, "edges name keypoint 4"),
    ],
)
def test_settings_that_do_not_fit_are_told(settings, told, tmp_path):
    write_set(tmp_path, [{}])
    with pytest.raises(UserError, match=told):
        opened(tmp_path, keypoints=KeypointSettings(**settings))


@pytest.mark.parametrize("settings", [{"sigmas": [0]}, {"mirrored": "a"}, {"edges": [[1, 2, 3]]}])
def test_settings_of_another_kind_are_told(settings):
    with pytest.raises(UserError, match=r"data\.keypoints\.\w+=.* is not valid"):
        KeypointSettings(**settings)


def test_data_without_keypoints_is_told(tmp_path, caplog):
    write_set(tmp_path, [{"keypoints": [1, 2, 2]}], {"supercategory": "animal"})
    with pytest.raises(UserError, match="no category with keypoints"):
        opened(tmp_path)
    caplog.set_level("INFO")
    assert opened(tmp_path, keypoints=None).keypoints is None
    assert "1 annotation has keypoints that its category does not name" in caplog.text


def test_categories_with_different_keypoints_are_told(tmp_path, caplog):
    write_set(tmp_path, [{}])
    file = tmp_path / "train.json"
    content = json.loads(file.read_text())
    content["categories"][1]["keypoints"] = ["crown", "root"]
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="no category with keypoints that can be used"):
        opened(tmp_path)
    assert "has other keypoints than category 1" in caplog.text


def test_splits_with_different_keypoints_are_told(tmp_path):
    write_set(tmp_path, [{}])
    write_set(tmp_path, [{}], {"keypoints": ["nose", "tail"]}, name="val")
    data = DetectionDataModule(
        tmp_path, *PARTS[:2], "val", "val.json", num_workers=0, keypoints=KeypointSettings()
    )
    with pytest.raises(UserError, match="lists other keypoints than"):
        data.setup("fit")


def test_transforms_that_lose_keypoints_are_refused(tmp_path):
    write_set(tmp_path, [{}])
    turning = Augmentation([Albumentations([A.Rotate(20)])])
    with pytest.raises(UserError, match="keypoints are lost"):
        opened(tmp_path, augmentation=turning).train_dataloader()


def test_a_split_without_any_keypoint_is_told(tmp_path):
    write_set(tmp_path, [{}, {"iscrowd": 1, "keypoints": [12, 12, 2] * 4, "num_keypoints": 4}])
    data = opened(tmp_path)
    assert "no box of train has a keypoint, so none is learnt" in data.lacks
    assert "no box of val has a keypoint, so there is no pose AP" in data.lacks
    write_set(tmp_path, [{}, {"keypoints": [12, 12, 2] * 4, "num_keypoints": 4}])
    assert not any("keypoint" in lack for lack in opened(tmp_path).lacks)


def test_which_keypoints_change_places_is_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    write_set(tmp_path, [{"keypoints": [12, 12, 2] * 4, "num_keypoints": 4}])
    opened(tmp_path)
    assert "(nose, left_eye, right_eye, tail), of which left_eye and right_eye" in caplog.text


def test_streamed_keypoints_are_those_of_the_files(tmp_path):
    shapes = make_shapes(tmp_path / "shapes", train=6, val=4, image_size=96)
    splits = ("train2017", "val2017")
    parts = [(split, f"annotations/instances_{split}.json") for split in splits]
    for split, file in parts:
        out = tmp_path / "shards" / split
        write_shards(shapes / file, shapes / split, out, shard_bytes=9000, seed=0)
    settings = {"keypoints": KeypointSettings(), "masks": True, "num_workers": 0}
    settings |= {"image_size": 96}
    given = DetectionDataModule(shapes, *parts[0], *parts[1], cache_dir=tmp_path, **settings)
    streamed = StreamDataModule(
        tmp_path / "shards", *parts[0], *parts[1], shard_cache_dir=tmp_path / "c", **settings
    )
    found = []
    for module in (given, streamed):
        module.setup("fit")
        found.append(by_image(module.val_dataloader(), "keypoints"))
    assert streamed.keypoints == given.keypoints
    assert found[0].keys() == found[1].keys()
    for key, targets in found[0].items():
        count = int((targets[..., 2] > 0).any(-1).sum())
        assert count > 0
        assert torch.equal(targets[:count], found[1][key][:count])


@pytest.mark.parametrize("first", [False, True])
def test_a_transform_that_loses_keypoints_is_named(first):
    rng = np.random.default_rng(0)
    steps = [Forgets(), MixUp(1.0)] if first else [MixUp(1.0), Forgets()]
    with pytest.raises(UserError, match=r"^Forgets of `augment` loses keypoints .*task=detect\.$"):
        Augmentation(steps)(lambda index: drawn(rng, 2), 0, range(4), image_size=SIZE, rng=rng)
