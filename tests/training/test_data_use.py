"""What a run tells of its data: what was in its batches, and what the data lack."""

import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn
from shapes_paths import PATHS

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.data.use import Use
from yolov9_lit.errors import UserError
from yolov9_lit.training.callbacks.data_use import DataUse, log_used

FAR = RandomAffine(64, translate=0, scale=0)
FAR.draw = lambda shape, rng: (np.float64([[1, 0, 999], [0, 1, 0]]), 1.0)


class Learner(L.LightningModule):
    """One weight; what it learns does not matter."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        return self.weight.square()

    def validation_step(self, batch, batch_idx):
        return None

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def root(tmp_path):
    """8 images in train, 5 in val."""
    return make_shapes(tmp_path / "shapes", train=8, val=5, image_size=64)


def entries(root, split):
    return json.loads((root / f"annotations/instances_{split}2017.json").read_text())


def edit(root, split, change):
    path = root / f"annotations/instances_{split}2017.json"
    content = json.loads(path.read_text())
    change(content["annotations"])
    path.write_text(json.dumps(content))


def datamodule(root, **settings):
    settings = {
        "image_size": 64,
        "batch_size": 2,
        "eval_batch_size": 2,
        "num_workers": 0,
    } | settings
    return DetectionDataModule(root, *PATHS, **settings)


def run(module, *, strict=False, test=True, **settings):
    use = DataUse("data", strict=strict)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    silent |= {"accelerator": "cpu", "enable_model_summary": False, "max_epochs": 1}
    trainer = L.Trainer(callbacks=[use], **silent | settings)
    trainer.fit(Learner(), module)
    if test:
        trainer.test(Learner(), module, verbose=False)
    return use.by_split


@pytest.mark.parametrize(
    ("settings", "train", "val", "test"),
    [
        ({}, 8, 5, 5),
        ({"limit_train_batches": 3, "limit_val_batches": 1, "limit_test_batches": 2}, 6, 2, 4),
        ({"limit_val_batches": 0}, 8, 0, 5),
        ({"limit_test_batches": 0}, 8, 5, 0),
        ({"max_epochs": 0}, 0, 0, 5),
        ({"limit_train_batches": 0}, 0, 0, 5),
        ({"max_steps": 1}, 2, 0, 5),
        ({"num_sanity_val_steps": 2, "max_epochs": 1}, 8, 5, 5),
    ],
    ids=str,
)
def test_images_are_those_that_were_in_batches(root, settings, train, val, test, caplog):
    module = datamodule(root)
    with caplog.at_level(logging.INFO):
        data = log_used(module, run(module, **settings))
    assert [data[split]["pictures"] for split in ("train", "val", "test")] == [train, val, test]
    assert f"Trained on {train} images" in caplog.text
    assert f"Tested on {test} images" in caplog.text
    for verb, count in (("trained", train), ("validated", val), ("tested", test)):
        assert (f"Nothing was {verb}" in caplog.text) == (count == 0)
    if val == 5:
        assert data["val"]["boxes"] == len(entries(root, "val")["annotations"])


class Bare:
    """A user's transform that was written for boxes; the first objects keep their outlines."""

    def __init__(self, kept):
        self.kept = kept

    def __call__(self, sample, rng, another):
        kept = [outlines if i < self.kept else [] for i, outlines in enumerate(sample.polygons)]
        self.kept = max(self.kept - len(kept), 0)
        return replace(sample, polygons=kept)


@pytest.mark.parametrize("kept", [0, 1])
def test_an_augmentation_that_loses_most_masks_is_told(root, kept, caplog):
    boxes = len(entries(root, "train")["annotations"])
    assert boxes > 10

    def module():
        return datamodule(root, masks=True, augmentation=Augmentation([Bare(kept)]))

    given = module()
    use = run(given, test=False)
    sentence = f"{kept} of the {boxes} boxes of the first epoch have a mask"
    assert caplog.text.count(sentence) == 1
    log_used(given, use)
    assert caplog.text.count(sentence) == 2, "again at the end"
    with pytest.raises(UserError, match=sentence):
        run(module(), test=False, strict=True)


@pytest.mark.parametrize("masks", [True, False])
def test_objects_with_a_mask_are_counted_where_masks_are_learnt(root, masks, caplog):
    module = datamodule(root, masks=masks, augmentation=Augmentation([]))
    use = run(module, test=False)["train"]
    assert use.boxes_masked == (use.boxes_trained if masks else None)
    assert "have a mask" not in caplog.text


def test_boxes_are_counted_before_and_after_augmentation(root):
    boxes = len(entries(root, "train")["annotations"])
    module = datamodule(root)
    data = module.used(run(module, max_epochs=3, test=False))["train"]
    assert data["boxes"] == data["boxes_drawn"] == data["boxes_trained"] == boxes


def test_an_augmentation_that_loses_the_boxes_is_told_and_strict_refuses_it(root, caplog):
    lossy = {"augmentation": Augmentation([FAR])}
    boxes = len(entries(root, "train")["annotations"])
    module = datamodule(root, **lossy)
    with caplog.at_level(logging.WARNING):
        use = run(module, test=False)
    sentence = f"augmentation left 0 of the {boxes} boxes of the first epoch"
    assert caplog.text.count(sentence) == 1
    log_used(module, use)
    assert caplog.text.count(sentence) == 2, "again at the end"
    with pytest.raises(UserError, match=sentence):
        run(datamodule(root, strict=True, **lossy), strict=True)


def crowds(annotations):
    for entry in annotations:
        entry["iscrowd"] = 1


def without_last_class(annotations):
    last = max(entry["category_id"] for entry in annotations)
    annotations[:] = [entry for entry in annotations if entry["category_id"] != last]


def outside(annotations):
    for entry in annotations:
        entry["bbox"] = [1000, 1000, 10, 10]


def test_boxes_without_an_outline_are_told_where_masks_are_learnt(root, caplog):
    edit(root, "train", lambda annotations: annotations[0].update(segmentation=[]))
    named = entries(root, "train")
    image = named["annotations"][0]["image_id"]
    (name,) = [entry["file_name"] for entry in named["images"] if entry["id"] == image]
    datamodule(root).setup("fit")
    assert "outline" not in caplog.text
    datamodule(root, masks=True).setup("fit")
    count = len(named["annotations"])
    sentence = f"1 of the {count} boxes of train have no outline ({name}), so no mask is learnt"
    assert sentence in caplog.text


def test_data_without_any_outline_teach_no_mask(root):
    edit(root, "train", lambda entries: [entry.update(segmentation=[]) for entry in entries])
    datamodule(root).setup("fit")
    with pytest.raises(UserError, match=r"has no outline that can be used, .* or task=detect\."):
        datamodule(root, masks=True).setup("fit")


def tiny(annotations):
    for entry in annotations:
        entry |= {"bbox": [*entry["bbox"][:2], 1.5, 20], "segmentation": []}


@pytest.mark.parametrize(
    ("split", "change", "sentence"),
    [
        ("train", crowds, "train has no box (all {} objects are marked as crowds)"),
        ("train", list.clear, "train has no box (its images have no object), so nothing is learnt"),
        ("train", without_last_class, "train has no box of 1 of 4 classes (star)"),
        ("train", tiny, "{} of the {} boxes of train are under 2 pixels wide"),
        ("train", outside, "train has no box (what was annotated is left out)"),
        ("val", list.clear, "val has no box (its images have no object), so there is no AP"),
        ("val", crowds, "val has no box (all {} objects are marked as crowds)"),
        ("val", without_last_class, ""),
    ],
)
def test_what_the_data_lack_is_told_at_once_and_again(root, split, change, sentence, caplog):
    edit(root, split, change)
    count = len(entries(root, split)["annotations"])
    module = datamodule(root)
    with caplog.at_level(logging.WARNING):
        module.setup("fit")
        module.setup("test")
        assert caplog.text.count("look at it with") == bool(sentence), "one line"
        assert sentence.format(count, count) in caplog.text
        log_used(module, {"train": Use(), "val": Use(), "test": Use()})
        assert caplog.text.count(sentence.format(count, count)) >= 2
    strict = datamodule(root, strict=True)
    if sentence:
        with pytest.raises(UserError, match="strict=true"):
            strict.setup("fit")
    else:
        strict.setup("fit")


def test_ranks_and_parts_of_an_epoch_add_up(root):
    module = datamodule(root, batch_size=1, masks=True)
    module.setup("fit")
    batches = list(module.train_dataloader())

    def fitting(rank):
        state = SimpleNamespace(fn=TrainerFn.FITTING)
        return SimpleNamespace(state=state, current_epoch=0, global_rank=rank)

    def given(use, trainer, part):
        for batch in part:
            use.on_train_batch_end(trainer, None, None, batch, 0)
        checkpoint = {}
        use.on_save_checkpoint(trainer, None, checkpoint)
        return checkpoint

    whole = DataUse("data")
    given(whole, fitting(0), batches)
    expected = module.used(whole.by_split)["train"]
    # Two ranks; the first is interrupted after a batch, and told what it does not know again.
    first, second = DataUse("data"), DataUse("data")
    given(second, fitting(1), batches[1::2])
    first.by_split["train"].join(second.by_split["train"])
    resumed = DataUse("data")
    resumed.on_load_checkpoint(fitting(0), None, given(first, fitting(0), batches[:1]))
    given(resumed, fitting(0), batches[2::2])
    for _ in range(2):
        resumed.by_split["train"].join(second.by_split["train"])
    assert module.used(resumed.by_split)["train"] == expected
    assert resumed.by_split["train"].boxes_masked == whole.by_split["train"].boxes_masked > 0
    assert expected["pictures"] == 8
