"""Some of a data set's classes: as if its files had no others, in training and in what measures."""

import json
import logging

import numpy as np
import pytest

from yolov9_lit.data.class_choice import ClassChoice
from yolov9_lit.data.coco.cache import AnnotationCache
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.shards.stream import StreamDataModule
from yolov9_lit.data.shards.writer import write_shards
from yolov9_lit.errors import UserError

SPLITS = ("train2017", "val2017")
PATHS = [path for s in SPLITS for path in (s, f"annotations/instances_{s}.json")]
CHOSEN = ["square", "circle"]  # Not in the order of their ids.


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", train=12, val=5, image_size=64)


@pytest.fixture(scope="module")
def edited(shapes, tmp_path_factory):
    """The same data, of whose files the other classes were taken out by hand."""
    root = tmp_path_factory.mktemp("data")
    (root / "annotations").mkdir()
    for split in SPLITS:
        (root / split).symlink_to(shapes / split)
        name = f"annotations/instances_{split}.json"
        content = json.loads((shapes / name).read_text())
        ids = {c["id"] for c in content["categories"] if c["name"] in CHOSEN}
        content["categories"] = [c for c in content["categories"] if c["id"] in ids]
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] in ids]
        (root / name).write_text(json.dumps(content))
    return root


def read(root, kind=DetectionDataModule, paths=PATHS, **settings):
    module = kind(root, *paths, image_size=64, num_workers=0, **settings)
    module.setup()
    return module


def same_objects(ours, theirs, labels):
    """Annotations have the same objects, theirs with other labels."""
    assert np.array_equal(ours.image_ids, theirs.image_ids)
    for index in range(len(theirs)):
        one, other = ours.objects(index), theirs.objects(index)
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.labels, np.array(labels, dtype=int)[other.labels])
        assert np.array_equal(one.keypoints.values, other.keypoints.values)
        for mine, its in zip(one.polygons, other.polygons, strict=True):
            assert all(map(np.array_equal, mine, its))


def unnumbered(truth):
    """A truth whose annotations are not numbered, and whose categories are sorted."""
    rows = [{k: v for k, v in a.items() if k != "id"} for a in truth["annotations"]]
    categories = sorted(truth["categories"], key=lambda c: c["id"])
    return truth | {"annotations": rows, "categories": categories}


@pytest.mark.parametrize("more", [{}, {"masks": True}, {"keypoints": True}])
def test_chosen_classes_are_all_there_is(shapes, edited, more):
    ours, theirs = read(shapes, classes=CHOSEN), read(edited)
    assert ours.class_names == ("square", "circle")
    assert theirs.class_names == ("circle", "square")
    assert sorted(ours.categories) == sorted(theirs.categories)
    for split in ("train", "val"):
        same_objects(ours.annotations(split), theirs.annotations(split), [1, 0])
    true, expected = (one.ground_truth("test", **more) for one in (ours, theirs))
    assert unnumbered(true) == unnumbered(expected)


@pytest.mark.parametrize(("given", "name"), [(True, "object"), ("shape", "shape")])
def test_all_classes_may_be_one(shapes, given, name):
    ours, theirs = read(shapes, single_class=given), read(shapes)
    assert ours.class_names == (name,)
    same_objects(ours.annotations("train"), theirs.annotations("train"), [0] * 4)
    true, other = (one.ground_truth("val", keypoints=True) for one in (ours, theirs))
    (category,) = true["categories"]
    assert category == other["categories"][0] | {"id": 1, "name": name}
    assert true["annotations"] == [a | {"category_id": 1} for a in other["annotations"]]


def test_one_class_of_some(shapes, edited):
    ours = read(shapes, classes=CHOSEN, single_class=True)
    same_objects(ours.annotations("val"), read(edited).annotations("val"), [0, 0])


def test_the_same_from_shards_and_from_the_cache_of_annotations(shapes, tmp_path, monkeypatch):
    expected = read(shapes, classes=CHOSEN)
    for split in SPLITS:
        file = shapes / f"annotations/instances_{split}.json"
        write_shards(file, shapes / split, tmp_path / split, shard_bytes=10**6, seed=0)
    paths = [path for s in SPLITS for path in (s, f"{s}/annotations.json")]
    shards = read(tmp_path, StreamDataModule, paths, classes=CHOSEN)
    assert shards.class_names == expected.class_names
    ours, theirs = (unnumbered(one.ground_truth("val")) for one in (shards, expected))
    key = json.dumps
    assert sorted(map(key, ours["annotations"])) == sorted(map(key, theirs["annotations"]))
    monkeypatch.setattr("yolov9_lit.data.coco.cache._LEAST_BYTES", 0)
    cache = tmp_path / "cache"
    everything = read(shapes, cache_dir=cache)  # The cache has all classes, whoever filled it.
    assert AnnotationCache(cache / "annotations").folder.is_dir()
    chosen = read(shapes, cache_dir=cache, classes=CHOSEN)
    assert chosen.ground_truth("val") == expected.ground_truth("val")
    assert len(everything.class_names) == 4


def test_what_is_left_is_told(shapes, caplog):
    with caplog.at_level(logging.INFO):
        module = read(shapes, classes=["star"])
    train, every = module.annotations("train"), read(shapes).annotations("train")
    without = int((np.diff(train.offsets) == 0).sum())
    assert 0 < without < 12
    assert (
        f"train: the chosen classes have {len(train.boxes)} of {len(every.boxes)} objects; "
        f"{without} of 12 images have none of them and are negatives"
    ) in caplog.text


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (["circel"], r"'circel', but .*train2017.json has .*, such as circle, triangle, square"),
        ([], r"data.classes=\[\] is not valid: give each class once"),
        (["star", "star"], r"\[star,star\] is not valid: give each class once"),
    ],
)
def test_classes_that_are_not_there_are_told(shapes, classes, told):
    with pytest.raises(UserError, match=told):
        read(shapes, classes=classes)


def test_a_model_s_classes_are_adopted_unless_some_are_given(shapes):
    model = ClassChoice(("star",))
    ours, own = (
        DetectionDataModule(shapes, *PATHS, image_size=64, classes=classes)
        for classes in (None, CHOSEN)
    )
    for module in (ours, own):
        module.adopt(model)
        module.setup("test")
    assert ours.class_names == ("star",)
    assert own.class_names == ("square", "circle")
