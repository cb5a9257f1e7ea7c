"""A torch dataset of one's own is trained on and measured by as the same data in COCO's format."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.building import build
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.images import read_image
from yolov9_lit.data.own import OwnDataModule
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError

PATHS = [path for s in ("train2017", "val2017") for path in (s, f"annotations/instances_{s}.json")]
PAGE = Path(__file__).parents[2] / "docs" / "own_data.md"
SETTINGS = {"image_size": 64, "batch_size": 4, "num_workers": 0}


class OfAnnotations:
    """What a data set holds, item by item."""

    def __init__(self, annotations, as_arrays, masks=False):
        self.annotations, self.as_arrays, self.masks = annotations, as_arrays, masks
        self.class_names = annotations.class_names

    def __len__(self):
        return len(self.annotations)

    def __getitem__(self, index):
        path = Path(self.annotations.images.name(index))
        objects = self.annotations.objects(index)
        image = read_image(path) if self.as_arrays else path
        if not self.masks:
            return image, objects.boxes, torch.from_numpy(objects.labels)
        masks = np.zeros((len(objects.boxes), *self.annotations.sizes[index]), dtype=bool)
        for mask, (left, top, right, bottom) in zip(
            masks, objects.boxes.round().astype(int), strict=True
        ):
            mask[top:bottom, left:right] = True
        return image, objects.boxes.round(), objects.labels, masks


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    root = make_shapes(tmp_path_factory.mktemp("data") / "shapes", train=8, val=3, image_size=64)
    module = DetectionDataModule(root, *PATHS, **SETTINGS)
    module.setup()
    return module


def own(reference, root, as_arrays=True, masks=False, **settings):
    splits = (OfAnnotations(reference.annotations(s), as_arrays, masks) for s in ("train", "val"))
    module = OwnDataModule(root, *splits, **SETTINGS, **settings)
    module.setup()
    return module


@pytest.mark.parametrize("as_arrays", [True, False])
def test_batches_are_those_of_the_same_data_in_coco_format(reference, tmp_path, as_arrays):
    module = own(reference, tmp_path, as_arrays)
    assert module.class_names == reference.class_names
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        pairs = zip(getattr(module, loader)(), getattr(reference, loader)(), strict=True)
        for ours, theirs in pairs:
            assert torch.equal(ours.images, theirs.images)
            torch.testing.assert_close(ours.targets.boxes, theirs.targets.boxes, atol=1e-3, rtol=0)
            assert torch.equal(ours.targets.labels, theirs.targets.labels)
    ours, theirs = (one.ground_truth("test")["annotations"] for one in (module, reference))
    boxes = [np.array([entry["bbox"] for entry in entries]) for entries in (ours, theirs)]
    np.testing.assert_allclose(*boxes, atol=1e-3)
    assert module.annotation_file("test") == module.annotation_file("val")


def test_masks_are_trained_on_and_measured(reference, tmp_path):
    module = own(reference, tmp_path, masks=True)
    module = own(reference, tmp_path, masks=True)  # What was kept is found again.
    assert len([*(tmp_path / ".cache" / "own").iterdir()]) == 2
    train = module.annotations("train")
    assert (np.diff(train.polygons.object_offsets) == 1).all()
    np.testing.assert_allclose(train.polygons.bounds()[0], train.boxes, atol=0.5)
    measured = module.ground_truth("val", masks=True)["annotations"]
    assert all("segmentation" in entry for entry in measured)


def test_some_of_its_classes(reference, tmp_path):
    module = own(reference, tmp_path, classes=["star"])
    assert {entry["category_id"] for entry in module.ground_truth("val")["annotations"]} <= {3}
    assert module.class_names == ("star",)


class One:
    """A dataset of one item."""

    class_names = ("a", "b")

    def __init__(self, *item):
        self.item = item

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.item


GREY = np.zeros((8, 8, 3), np.uint8)
BOX = [[1, 1, 4, 4]]


@pytest.mark.parametrize(
    ("train", "told"),
    [
        (3, r"data\.train=int lacks __len__, __getitem__"),
        ([], r"data\.train=list lacks class_names"),
        (One(GREY, BOX), r"train One\[0\] is not \(image, boxes, labels\)"),
        (One(GREY / 255, BOX, [0]), r"its image is float64 of shape \(8, 8, 3\)"),
        (One("no.jpg", BOX, [0]), r"there is no image file no\.jpg"),
        (One(GREY, BOX, [2]), r"labels are not all in 0\.\.1"),
        (One(GREY, BOX, [0, 1]), r"not 1 whole numbers, one for each box"),
        (One(GREY, [[1, 2, 3]], [0]), r"train One\[0\] is not"),
        (One(GREY, BOX, [0], np.zeros((1, 4, 4))), r"its masks are \(1, 4, 4\)"),
    ],
)
def test_what_is_no_dataset_is_one_sentence(tmp_path, train, told):
    with pytest.raises(UserError, match=told) as error:
        OwnDataModule(tmp_path, train, One(GREY, BOX, [0]), **SETTINGS).setup("fit")
    assert "\n" not in str(error.value)


def test_the_recipe_of_the_page(tmp_path, monkeypatch):
    """Its files, as they are written there, give the batches of a training."""
    text = PAGE.read_text(encoding="utf-8").partition("### Own dataset")[2]
    for kind, name in (("python", "my_data.py"), ("yaml", "my_conf/data/shelves.yaml")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (block,) = re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)
        (tmp_path / name).write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        searched = f"hydra.searchpath=[file://{tmp_path / 'my_conf'}]"
        cfg = compose("train", [searched, "data=shelves", "data.image_size=64"])
        module = build(cfg.data, num_workers=0)
    module.setup("fit")
    assert module.class_names == ("tin", "box")
    batch = next(iter(module.train_dataloader()))
    assert batch.targets.valid.any()
