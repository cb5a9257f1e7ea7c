"""Further numbers of objects on their way from the file to the batch and to the truth."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from drawn_samples import Forgets
from shapes_paths import PATHS

from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.extra import Extra, ExtraFields
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.sample import Sample
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.copy_paste import CopyPaste
from yolov9_lit.data.transforms.flip import RandomFlip
from yolov9_lit.data.transforms.mixup import MixUp
from yolov9_lit.data.transforms.mosaic import Mosaic
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError


@pytest.fixture
def numbered(tiny_shapes, tmp_path):
    """The tiny shapes, whose annotations know their own number and their class."""
    (tmp_path / "annotations").mkdir()
    for split in ("train2017", "val2017"):
        (tmp_path / split).symlink_to(tiny_shapes / split)
        content = json.loads((tiny_shapes / f"annotations/instances_{split}.json").read_text())
        for entry in content["annotations"]:
            entry |= {"own": entry["id"] / 4, "kind": entry["category_id"]}
        (tmp_path / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    return tmp_path


def data_of(root, *names, **settings):
    data = DetectionDataModule(
        root, *PATHS, image_size=64, batch_size=4, num_workers=0, cache=None,
        extra=ExtraFields(names=names), **settings,
    )  # fmt: skip
    data.setup("fit")
    return data


def changed(root, split, change):
    file = root / f"annotations/instances_{split}2017.json"
    content = json.loads(file.read_text())
    change(content["annotations"])
    file.write_text(json.dumps(content))
    return file


def test_augmented_batches_have_the_numbers_of_their_objects(numbered):
    """The class tells which number an object must have, wherever mosaic and mixup put it."""
    steps = [Mosaic(64), CopyPaste(1.0), RandomAffine(64), MixUp(p=1.0), RandomFlip(0.5, 0.5)]
    data = data_of(numbered, "kind", augmentation=Augmentation(steps))
    ids = np.array([category.id for category in data.categories])
    count = 0
    for batch in data.train_dataloader():
        targets = batch.targets
        valid = targets.valid.numpy()
        assert (targets.extra.numpy()[valid][:, 0] == ids[targets.labels.numpy()[valid]]).all()
        assert not targets.extra[~targets.valid].any()
        count += valid.sum()
    assert count > 50


def test_evaluation_and_the_truth_have_them_in_the_named_order(numbered):
    data = data_of(numbered, "own", "kind")
    file = numbered / "annotations/instances_val2017.json"
    entries = json.loads(file.read_text())["annotations"]
    expected = sorted((e["image_id"], e["own"], e["kind"]) for e in entries)
    found = [
        (info.image_id, *numbers)
        for batch in data.val_dataloader()
        for info, rows, valid in zip(
            batch.infos, *batch.targets[5:6], batch.targets.valid, strict=True
        )
        for numbers in rows[valid].tolist()
    ]
    assert sorted(found) == expected
    truth = data.ground_truth("val")["annotations"]
    assert sorted((e["image_id"], *e["extra"]) for e in truth) == expected
    with_keypoints = read_ground_truth(
        file, masks=True, keypoints=data.annotations("val").layout,
        extra=ExtraFields(names=["own"]),
    )  # fmt: skip
    for entry in with_keypoints["annotations"]:
        assert {"extra", "segmentation", "keypoints"} <= entry.keys()


@pytest.mark.parametrize("value", [None, "3", float("nan"), 10**400, [1]])
def test_an_annotation_without_its_number_is_told(numbered, value):
    def spoil(entries):
        entries[2]["own"] = entries[5]["own"] = value

    file = changed(numbered, "train", spoil)
    total = len(json.loads(file.read_text())["annotations"])
    with pytest.raises(UserError) as raised:
        data_of(numbered, "own")
    assert str(raised.value) == (
        f'{file} has 2 of {total} annotations without a finite number "own", which '
        "data.extra.names asks for, the first of id 3: add it to them, or take them out."
    )


def test_a_crowd_needs_no_number(numbered):
    def spoil(entries):
        entries[0]["iscrowd"] = 1
        del entries[0]["own"]

    changed(numbered, "val", spoil)
    assert data_of(numbered, "own").annotations("val").extra.values[0].tolist() == [0]


@dataclass(frozen=True, kw_only=True)
class Angle(ExtraFields):
    def flipped(self, values, axis):
        return 180 - values if axis == 0 else -values


@dataclass(frozen=True, kw_only=True)
class Losing(ExtraFields):
    def flipped(self, values, axis):
        return values[:, :0]


def sample_of(fields):
    boxes = np.array([[2, 2, 20, 20], [30, 34, 60, 60]], dtype=np.float32)
    outlines = [[np.array([[x1, y1], [x2, y1], [x2, y2]])] for x1, y1, x2, y2 in boxes]
    image = np.zeros((64, 64, 3), np.uint8)
    extra = Extra(np.array([[30.0], [100.0]], np.float32), fields)
    return Sample(image, boxes, np.array([0, 1]), outlines, Keypoints.none(2), extra)


def test_mirroring_changes_what_the_fields_say(tmp_path):
    sample, rng = sample_of(Angle(names=["angle"])), np.random.default_rng(0)
    across = RandomFlip(1, 0)(sample, rng, None)
    assert across.extra.values.ravel().tolist() == [150, 80]
    upside_down = RandomFlip(0, 1)(sample, rng, None)
    assert upside_down.extra.values.ravel().tolist() == [-30, -100]
    pasted = CopyPaste(1.0)(sample, rng, None)
    assert len(pasted.boxes) > 2
    assert {*pasted.extra.values[2:].ravel().tolist()} <= {150, 80}


def test_fields_that_lose_numbers_are_told():
    sample = sample_of(Losing(names=["angle"]))
    with pytest.raises(UserError, match=r"Losing.flipped returns shape \(2, 0\) of numbers of"):
        RandomFlip(1, 0)(sample, np.random.default_rng(0), None)


def test_a_transform_that_loses_them_is_named(numbered):
    data = data_of(numbered, "own", augmentation=Augmentation([Forgets(), MixUp(p=1.0)]))
    with pytest.raises(UserError, match=r"^Forgets of `augment` loses extra numbers .*data\.extra"):
        next(iter(data.train_dataloader()))


def test_shards_hold_none(numbered):
    data = data_of(numbered, "own")
    bare = replace(data.annotations("train"), extra=None)
    data._open = lambda split: bare
    with pytest.raises(UserError, match="is in shards, which hold no further numbers"):
        data._read("train")
