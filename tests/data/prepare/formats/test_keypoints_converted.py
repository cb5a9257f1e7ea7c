"""Keypoints between COCO's format and YOLO's: there and back as they were, and what YOLO says."""

import json

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data.coco.faults import Faults, Note
from yolov9_lit.data.coco.writer import coco_content
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.keypoint_settings import KeypointSettings
from yolov9_lit.data.prepare.formats.convert import FORMATS, convert
from yolov9_lit.data.prepare.formats.in_place import annotate_in_place
from yolov9_lit.data.prepare.formats.source import read_splits
from yolov9_lit.data.prepare.formats.yolo import YoloFolder
from yolov9_lit.data.prepare.shapes import make_shapes

NAMES = ["nose", "left_eye", "right_eye"]
WIDTH, HEIGHT = 50, 40


def coco_set(root, category, objects):
    """A data set of one image."""
    (root / "annotations").mkdir(parents=True)
    (root / "train").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "train/a.png")
    entries = [
        {"id": i, "image_id": 1, "category_id": 4, "bbox": [5 + i, 5, 20, 30]} | entry
        for i, entry in enumerate(objects, start=1)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": entries,
        "categories": [{"id": 4, "name": "cat"} | category, {"id": 9, "name": "tree"}],
    }
    (root / "annotations/instances_train.json").write_text(json.dumps(content))
    return root


CATEGORIES = {
    "as names tell": {"keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]},
    "no skeleton": {"keypoints": NAMES, "skeleton": []},
    "as names do not": {
        "keypoints": ["a", "b", "c"],
        "skeleton": [[3, 1]],
        "mirrored": [2, 1, 0],
        "sigmas": [0.1, 0.25, 0.0625],
    },
}


@pytest.mark.parametrize("category", CATEGORIES.values(), ids=CATEGORIES)
def test_keypoints_come_back_from_yolo_as_they_were(category, tmp_path):
    given = [
        {"keypoints": [10.5, 12.25, 2, 0, 0, 0, 40, 39, 1], "num_keypoints": 2},
        {"keypoints": [0] * 9, "num_keypoints": 0},
        {"category_id": 9},
    ]
    coco_set(tmp_path / "coco", category, given)
    coco, yolo = FORMATS["coco"], FORMATS["yolo"]
    done = convert(tmp_path / "coco", tmp_path / "yolo", source=coco, target=yolo, strict=True)
    assert done.lost == ()
    lines = (tmp_path / "yolo/labels/train/a.txt").read_text().splitlines()
    assert {len(line.split()) for line in lines} == {5 + 3 * 3}
    convert(tmp_path / "yolo", tmp_path / "back", source=yolo, target=coco, strict=True)
    content = json.loads((tmp_path / "back/annotations/instances_train.json").read_text())
    assert content["categories"] == [
        {"id": 4, "name": "cat"} | category,
        {"id": 9, "name": "tree"},
    ]
    found = content["annotations"]
    np.testing.assert_allclose(found[0]["keypoints"], given[0]["keypoints"], atol=1e-3)
    assert [entry["num_keypoints"] for entry in found] == [2, 0, 0]


def test_what_voc_and_lines_of_keypoints_cannot_hold_is_told(tmp_path):
    outline = [[6, 5, 26, 5, 26, 35, 6, 35]]
    entry = {"keypoints": [10, 12, 2] * 3, "num_keypoints": 3, "segmentation": outline}
    coco_set(tmp_path / "coco", CATEGORIES["as names tell"], [entry])
    lost = {
        name: convert(
            tmp_path / "coco",
            tmp_path / name,
            source=FORMATS["coco"],
            target=FORMATS[name.split("-")[0]],
            keypoints="without" not in name,
        ).lost
        for name in ("voc", "yolo", "yolo-without")
    }
    assert lost["voc"] == (
        "1 object is left without its outlines",
        "1 object is left without its keypoints",
    )
    assert lost["yolo"] == (
        "1 object is left without its outlines: lines with keypoints hold none",
    )
    assert lost["yolo-without"] == ()
    assert "kpt_shape" not in (tmp_path / "yolo-without/data.yaml").read_text()
    line = (tmp_path / "yolo-without/labels/train/a.txt").read_text().split()
    assert len(line) == 1 + len(outline[0])


def yolo_set(root, config, *lines):
    for part in ("images/train", "labels/train"):
        (root / part).mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images/train/a.png")
    (root / "labels/train/a.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(f"train: images/train\nnames: [cat, tree]\n{config}")
    faults = Faults(root)
    judged = read_splits(YoloFolder(root, faults))["train"]
    return coco_content(judged), judged, faults


BOX = "0 0.5 0.5 0.4 0.5"


def test_keypoints_of_three_numbers(tmp_path):
    line = f"{BOX} 0.5 0.25 2 0.4 0.5 1 0 0 0"
    content, judged, faults = yolo_set(tmp_path, "kpt_shape: [3, 3]\nflip_idx: [0, 2, 1]", line)
    assert not faults.found
    assert content["annotations"][0]["keypoints"] == [25, 10, 2, 20, 20, 1, 0, 0, 0]
    assert judged.keypoints.names == ("0", "1", "2")
    assert judged.keypoints.mirrored == (0, 2, 1)


def test_keypoints_of_two_numbers_are_seen_where_they_have_a_place(tmp_path):
    lines = (f"{BOX} 0.5 0.25 0 0 0 0.5", f"{BOX[:-1]}6 -1 -1 0.5 0.5 0.25 0")
    content, *_ = yolo_set(tmp_path, "kpt_shape: [3, 2]", *lines)
    first, second = (entry["keypoints"] for entry in content["annotations"])
    assert first == [25, 10, 2, 0, 0, 0, 0, 20, 2]
    assert second == [0, 0, 0, 25, 20, 2, 12.5, 0, 2]


def test_names_of_keypoints_tell_pairs_or_stand_for_a_class(tmp_path):
    line = f"{BOX} 0.5 0.25 2 0.4 0.5 1 0 0 0"
    names = "[nose, left_eye, right_eye]"
    _, one, _ = yolo_set(tmp_path / "a", f"kpt_shape: [3, 3]\nkpt_names: {names}", line)
    assert one.keypoints.mirrored == (0, 2, 1)
    assert [*one.layouts] == [1, 2]
    _, other, _ = yolo_set(tmp_path / "b", f"kpt_shape: [3, 3]\nkpt_names: {{1: {names}}}", line)
    assert [*other.layouts] == [2]


@pytest.mark.parametrize(
    "part", ["flip_idx: [0, 1]", "flip_idx: [1, 2, 0]", "flip_idx: [a, b, c]", "sigmas: [0, 1, 1]",
             "kpt_names: [a, b]", "kpt_names: abc", "skeleton: [[1, 4]]"],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_told(part, tmp_path):
    line = f"{BOX} 0.5 0.25 2 0.4 0.5 1 0 0 0"
    content, judged, faults = yolo_set(tmp_path, f"kpt_shape: [3, 3]\n{part}", line)
    assert faults.found
    assert judged.keypoints is None or judged.keypoints.mirrored == (0, 1, 2)
    assert len(content["annotations"]) == 1


@pytest.mark.parametrize("nothing", ["flip_idx:", "flip_idx: []", "kpt_names: null"])
def test_nothing_may_be_said(nothing, tmp_path):
    line = f"{BOX} 0.5 0.25 2 0.4 0.5 1 0 0 0"
    _, judged, faults = yolo_set(tmp_path, f"kpt_shape: [3, 3]\n{nothing}", line)
    assert not faults.found
    assert judged.keypoints.mirrored == (0, 1, 2)


def test_without_kpt_shape_boxes_alone_are_read(tmp_path):
    lines = [f"{i % 2} 0.5 0.5 0.{i}1 0.5 0.5 0.3 2 0.5 0.7 1" for i in range(1, 9)]
    content, judged, faults = yolo_set(tmp_path, "", *lines)
    assert faults.notes[Note.POSES] == 8
    assert judged.keypoints is None
    assert "keypoints" not in content["annotations"][0]


def test_training_in_place_has_the_keypoints_of_the_coco_format(tmp_path):
    make_shapes(tmp_path / "coco", train=6, val=3, image_size=96)
    formats = {"source": FORMATS["coco"], "target": FORMATS["yolo"]}
    convert(tmp_path / "coco", tmp_path / "yolo", **formats)
    folder = annotate_in_place(tmp_path / "yolo", YoloFolder, tmp_path / "cache")
    settings = {
        "keypoints": KeypointSettings(),
        "num_workers": 0,
        "batch_size": 3,
        "image_size": 96,
    }
    named = [[f"{s}2017", f"annotations/instances_{s}2017.json"] for s in ("train", "val")]
    placed = [[".", f"annotations/instances_{s}.json"] for s in ("train", "val")]
    ours = DetectionDataModule(folder, *placed[0], *placed[1], **settings)
    theirs = DetectionDataModule(tmp_path / "coco", *named[0], *named[1], **settings)
    for data in (ours, theirs):
        data.setup("fit")
    assert ours.keypoints == theirs.keypoints
    for loader in ("train_dataloader", "val_dataloader"):
        for a, b in zip(getattr(ours, loader)(), getattr(theirs, loader)(), strict=True):
            assert (b.targets.keypoints[..., 2] > 0).any()
            np.testing.assert_allclose(a.targets.keypoints, b.targets.keypoints, atol=1e-3)


def test_keypoints_outside_the_image_are_left_out_of_lines(tmp_path):
    entry = {"keypoints": [10, 12, 2, 99, 12, 2, 10, -1, 1], "num_keypoints": 3}
    coco_set(tmp_path / "coco", CATEGORIES["as names tell"], [entry])
    formats = {"source": FORMATS["coco"], "target": FORMATS["yolo"]}
    done = convert(tmp_path / "coco", tmp_path / "yolo", **formats)
    assert done.lost == ("2 keypoints outside their image are left out",)
    judged = read_splits(YoloFolder(tmp_path / "yolo", Faults(tmp_path)))["train"]
    (found,) = judged.sound.keypoints
    np.testing.assert_allclose(found, [[10, 12, 2], [0] * 3, [0] * 3], atol=1e-6)
