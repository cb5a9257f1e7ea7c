"""Data sets as Roboflow exports them, and the category that is none."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.data.__main__ import main
from yolov9_lit.errors import UserError

GROUP = {"id": 0, "name": "cells", "supercategory": "none"}
CLASSES = [
    {"id": i, "name": name, "supercategory": "cells"} for i, name in ((1, "RBC"), (2, "WBC"))
]
SPLITS = {"train": 4, "valid": 2, "test": 2}


def export(root, categories, labels=(1, 2)):
    """Write images of 64 x 48 pixels, ids from 0, with an object of each label."""
    rng = np.random.default_rng(0)
    for split, count in SPLITS.items():
        folder = root / split
        folder.mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            name = f"{split}{i}_jpg.rf.{i:032x}.jpg"
            Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / name)
            images.append({"id": i, "file_name": name, "height": 48, "width": 64})
            for k, label in enumerate(labels):
                own = {"id": len(annotations), "image_id": i, "category_id": label, "iscrowd": 0}
                box = [5 + 20 * k, 8, 16, 20 + k]
                annotations.append(own | {"bbox": box, "area": 16 * (20 + k), "segmentation": []})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "_annotations.coco.json").write_text(json.dumps(content))
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLOV9_LIT_DATA", str(tmp_path / "cache"))


def options(root):
    small = ["data.image_size=64", "data.batch_size=2", "data.num_workers=0"]
    return ["data=roboflow", f"data.root={root}", *small]


def datamodule(root):
    module = build(compose("train", options(root)).data)
    module.setup()
    return module


def test_the_group_is_no_class(tmp_path, caplog):
    with caplog.at_level("INFO"):
        module = datamodule(export(tmp_path / "cells", [GROUP, *CLASSES]))
    assert module.class_names == ("RBC", "WBC")
    assert [category.id for category in module.categories] == [1, 2]
    assert "1 category is the group of others and has no box: it is left out" in caplog.text
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        annotations = module.annotations(split)
        assert annotations.image_ids.tolist() == list(range(count))
        assert annotations.labels.tolist() == [0, 1] * count
    first = module.annotations("val").images.name(0)
    assert first.startswith(str(tmp_path / "cells/valid/valid0"))


@pytest.mark.parametrize(
    ("categories", "labels"),
    [
        ([GROUP, *CLASSES], (0, 1)),  # Some objects are of the group itself.
        ([GROUP], (0,)),
        ([GROUP, CLASSES[0] | {"supercategory": "none"}], (1,)),  # A class that is not annotated.
        ([{"id": 0, "name": "dog", "supercategory": "dog"}, *CLASSES], (1,)),
    ],
)
def test_categories_that_are_no_group_stay(tmp_path, categories, labels):
    module = datamodule(export(tmp_path / "set", categories, labels))
    assert module.class_names == tuple(entry["name"] for entry in categories)


def test_a_group_that_one_split_has_objects_of_stays(tmp_path):
    root = export(tmp_path / "set", [GROUP, *CLASSES])
    file = root / "test/_annotations.coco.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["category_id"] = 0
    file.write_text(json.dumps(content))
    assert datamodule(root).class_names == ("cells", "RBC", "WBC")


def test_an_image_that_is_added_counts(tmp_path):
    root = export(tmp_path / "set", CLASSES)
    image = next((root / "train").glob("*.jpg"))
    image.rename(tmp_path / image.name)
    assert len(datamodule(root).annotations("train")) == 3
    (tmp_path / image.name).rename(image)
    assert len(datamodule(root).annotations("train")) == 4


def test_a_training_gets_its_boxes(tmp_path):
    module = datamodule(export(tmp_path / "cells", [GROUP, *CLASSES]))
    batches = [*module.train_dataloader(), *module.val_dataloader(), *module.test_dataloader()]
    assert sum(len(batch.infos) for batch in batches) == 8
    labels = torch.cat([batch.targets.labels[batch.targets.valid] for batch in batches])
    assert set(labels.tolist()) == {0, 1}
    truth = module.ground_truth("test")
    assert [entry["name"] for entry in truth["categories"]] == ["RBC", "WBC"]


def test_it_is_checked(tmp_path, capsys):
    root = export(tmp_path / "cells", [GROUP, *CLASSES])
    assert main(["check", f"root={root}", "workers=1"]) == 0
    assert "1 category has no box" in " ".join(capsys.readouterr().out.split())


def test_wrong_layouts_are_one_sentence(tmp_path):
    export(tmp_path / "all/cells", CLASSES)
    with pytest.raises(UserError, match=r"all has no train/_annotations\.coco\.json: give the"):
        datamodule(tmp_path / "all")
    (tmp_path / "all/cells/valid").rename(tmp_path / "valid")
    with pytest.raises(UserError, match=r"cells has no val split, .*its folder \(VisDrone, Robo"):
        datamodule(tmp_path / "all/cells")
