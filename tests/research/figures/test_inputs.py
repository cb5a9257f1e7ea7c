"""The images of figures: a user's own files, or a data set's with its boxes."""

import json

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.research.figures.inputs import checkpoint_names, listed, read_subjects


@pytest.fixture
def data(tmp_path):
    """Three validation images, the first of which is damaged; one box and one crowd each."""
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.new("RGB", (48, 32), (i, 20, 30)).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "images" / "0.png").write_bytes(b"no image")
    common = {"category_id": 7, "area": 40}
    boxes = [
        {**common, "id": 2 * i + k + 1, "image_id": i, "bbox": [4, 5, 10, 4], "iscrowd": k}
        for i in range(3)
        for k in range(2)
    ]
    images = [{"id": i, "file_name": f"{i}.png", "width": 48, "height": 32} for i in range(3)]
    coco = {"images": images, "annotations": boxes, "categories": [{"id": 7, "name": "cell"}]}
    (tmp_path / "truth.json").write_text(json.dumps(coco))
    own = ("train", "val")
    paths = [f"data.{split}_images=images" for split in own]
    paths += [f"data.{split}_annotations=truth.json" for split in own]
    cfg = compose("figures", ["out=x", "data=coco", f"data.root={tmp_path}", *paths])
    return build(cfg.data)


def test_the_validation_images_come_with_their_boxes(data):
    first, second = read_subjects(None, data, 5)
    assert (first.name, second.name) == ("1", "2")
    np.testing.assert_array_equal(second.image[0, 0], (2, 20, 30))
    np.testing.assert_array_equal(second.boxes, [[4, 5, 14, 9]])
    np.testing.assert_array_equal(second.labels, [0])
    assert len(read_subjects(None, data, 1)) == 1


def test_a_users_own_images_have_no_boxes(data, tmp_path):
    files = [str(tmp_path / "images" / f"{i}.png") for i in (1, 2)]
    found = read_subjects(files, data, 5)
    assert [(s.name, s.image.shape, len(s.boxes)) for s in found] == [
        ("1", (32, 48, 3), 0),
        ("2", (32, 48, 3), 0),
    ]
    (one,) = read_subjects(str(tmp_path / "images" / "*.png"), data, 1)
    assert one.name == "1"


def test_images_that_cannot_be_read_are_a_sentence(data, tmp_path):
    with pytest.raises(UserError, match="image="):
        read_subjects(str(tmp_path / "images" / "0.png"), data, 1)


def test_checkpoints_are_named_after_their_runs():
    assert listed(None) == []
    assert listed("a.ckpt") == ["a.ckpt"]
    assert listed(("a.ckpt", "b.ckpt")) == ["a.ckpt", "b.ckpt"]
    assert checkpoint_names(["runs/icn/checkpoints/best.ckpt"]) == ["icn"]
    two = ["runs/icn/checkpoints/best.ckpt", "small.safetensors"]
    assert checkpoint_names(two) == ["1-icn", "2-small"]
