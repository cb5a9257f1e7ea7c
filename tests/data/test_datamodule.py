"""The data module: the same samples for any number of workers, on any number of ranks."""

import json
from pathlib import Path

import albumentations as A
import lightning as L
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.samplers import TrainSampler, evaluation_batches
from yolov9_lit.data.transforms.albumentations import Albumentations
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError

COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250)]


def write_split(root, split, count, categories=((4, "r"), (9, "g"), (90, "b"))):
    """Each image is all one colour, the colour of its one object's class."""
    images, annotations = [], []
    (root / split).mkdir(parents=True)
    rng = np.random.default_rng(len(split))
    for i in range(count):
        height, width = (int(v) for v in rng.integers(30, 90, 2))
        label = i % len(categories)
        Image.new("RGB", (width, height), COLOURS[label]).save(root / split / f"{i}.png")
        images.append({"id": 100 + i, "file_name": f"{i}.png", "height": height, "width": width})
        annotations.append(
            {
                "id": i + 1,
                "image_id": 100 + i,
                "category_id": categories[label][0],
                "bbox": [5, 5, width - 10, height - 10],
                "area": 1.0,
                "iscrowd": 0,
            }
        )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in categories],
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path):
    write_split(tmp_path, "train", 13)
    write_split(tmp_path, "val", 7)
    return tmp_path


def test_each_annotation_file_is_parsed_once(folder, monkeypatch):
    parsed = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: parsed.append(path.name) or read(path))
    paths = ["train", "annotations/train.json", "val", "annotations/val.json"]
    module = DetectionDataModule(folder, *paths, image_size=64)
    module.setup("fit")
    module.setup("test")
    truth = module.ground_truth("val")
    assert module.ground_truth("test") is truth
    assert parsed == ["train.json", "val.json"]
    assert truth == read_ground_truth(folder / "annotations/val.json")


def test_images_that_are_trained_and_measured_on_are_told(folder):
    train = ["train", "annotations/train.json"]
    apart = DetectionDataModule(folder, *train, "val", "annotations/val.json", image_size=64)
    apart.setup()
    assert apart.lacks == []
    same = DetectionDataModule(folder, *train, "val/../train", train[1], image_size=64)
    same.setup("fit")
    (told,) = same.lacks
    assert told.startswith("13 of the 13 images of val are trained on (")
    assert told.endswith(", ...), so its figures say little of others")
    with pytest.raises(UserError, match="13 of the 13 images of val"):
        DetectionDataModule(folder, *train, *train, image_size=64, strict=True).setup("fit")


def test_an_annotation_file_that_is_not_there_is_named_with_its_keys(folder):
    paths = ["train", "annotations/train.json", "val", "annotations/instances_val.json"]
    with pytest.raises(UserError, match=r"instances_val.json: give data.val_annotations=FILE"):
        DetectionDataModule(folder, *paths, image_size=64).setup("fit")


def datamodule(root, **kwargs):
    arguments = {"image_size": 64, "batch_size": 4, "num_workers": 0} | kwargs
    module = DetectionDataModule(
        root, "train", "annotations/train.json", "val", "annotations/val.json", **arguments
    )
    module.setup("fit")
    return module


def augmentation(name, size=64):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        overrides = [f"augment={name}", f"data.image_size={size}"]
        return instantiate(compose("train", overrides=overrides).augment)


def shows_its_class(batch):
    """Where a target's centre lies, the image has the colour of its class."""
    for image, boxes, labels, valid in zip(batch.images, *batch.targets[:3], strict=True):
        for box, label in zip(boxes[valid], labels[valid], strict=True):
            x, y = ((box[:2] + box[2:]) / 2).long().tolist()
            assert image[:, y, x].argmax() == label


def epoch(module, number):
    loader = module.train_dataloader()
    loader.sampler.set_epoch(number)
    return list(loader)


@pytest.mark.parametrize("workers", [1, 2])
def test_same_batches_whatever_the_workers(folder, workers):
    alone = epoch(datamodule(folder, augmentation=augmentation("paper")), 3)
    module = datamodule(folder, augmentation=augmentation("paper"), num_workers=workers)
    for ours, theirs in zip(epoch(module, 3), alone, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert all(map(torch.equal, ours.targets[:3], theirs.targets[:3]))
        assert ours.infos == theirs.infos


def test_albumentations_draw_the_same_in_workers(folder):
    transforms = [A.RandomBrightnessContrast(p=1), A.Affine(rotate=(-20, 20), p=1)]
    ours = Augmentation([Albumentations(transforms)])
    alone = epoch(datamodule(folder, augmentation=ours), 3)
    shared_out = epoch(datamodule(folder, augmentation=ours, num_workers=2), 3)
    assert all(torch.equal(a.images, b.images) for a, b in zip(alone, shared_out, strict=True))


def test_epochs_and_seeds_differ(folder):
    module = datamodule(folder, augmentation=augmentation("paper"))
    first, second = epoch(module, 0), epoch(module, 1)
    assert not torch.equal(first[0].images, second[0].images)
    other = epoch(datamodule(folder, augmentation=augmentation("paper"), seed=1), 0)
    assert not torch.equal(first[0].images, other[0].images)


@pytest.mark.parametrize("name", ["none", "light"])
def test_labels_belong_to_their_images(folder, name):
    module = datamodule(folder, augmentation=augmentation(name))
    for number in range(3):
        for batch in epoch(module, number):
            assert batch.images.dtype == torch.uint8
            assert batch.images.shape[1:] == (3, 64, 64)
            shows_its_class(batch)
    for batch in module.val_dataloader():
        shows_its_class(batch)


def test_mosaic_closes_in_persistent_workers(folder):
    """A mosaic shows up to four objects; without it an image shows its one."""

    class FakeTrainer:
        max_epochs, global_rank, world_size = 6, 0, 1

    module = datamodule(
        folder, augmentation=augmentation("paper"), num_workers=1, close_mosaic_epochs=2
    )
    module.trainer = FakeTrainer()
    loader = module.train_dataloader()
    most = []
    for number in range(6):
        loader.sampler.set_epoch(number)
        most.append(max(int(batch.targets.valid.sum(dim=1).max()) for batch in loader))
    assert min(most[:4]) > 1
    assert max(most[4:]) == 1


def test_training_no_longer_than_the_closing_never_closes(folder):
    class FakeTrainer:
        max_epochs, global_rank, world_size = 5, 0, 1

    module = datamodule(folder, close_mosaic_epochs=15)
    module.trainer = FakeTrainer()
    assert module.train_dataloader().sampler.closing_from_epoch is None


class Recorder(L.LightningModule):
    """Keeps the images that each epoch trains on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = {}

    def training_step(self, batch, index):
        self.seen.setdefault(self.current_epoch, []).append(batch.images.clone())
        return self.weight.sum()

    def validation_step(self, batch, index):
        """Validation must run: a checkpoint may be of its end."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("after_training", [True, False])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_resumed_run_trains_on_the_same_images(folder, tmp_path_factory, after_training):
    """With a worker, which fetches ahead; epoch 2 is the first that closes."""
    checkpoints = tmp_path_factory.mktemp("checkpoints")

    def fit(resume=None):
        module = Recorder()
        saving = L.pytorch.callbacks.ModelCheckpoint(
            checkpoints, "{epoch}", save_top_k=-1, save_on_train_epoch_end=after_training
        )
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=4,
            num_sanity_val_steps=0,
            logger=False,
            callbacks=[] if resume else [saving],
            enable_checkpointing=not resume,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        paper = augmentation("paper")
        data = datamodule(folder, augmentation=paper, num_workers=1, close_mosaic_epochs=2)
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        return module.seen

    whole = fit()
    resumed = fit(checkpoints / "epoch=1.ckpt")
    assert set(resumed) == {2, 3}
    for number, batches in resumed.items():
        assert all(torch.equal(a, b) for a, b in zip(batches, whole[number], strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_an_epoch(world):
    samplers = [TrainSampler(13, 0, rank=rank, world_size=world) for rank in range(world)]
    shares = [[key.image for key in sampler] for sampler in samplers]
    assert len({len(share) for share in shares}) == 1
    assert {index for share in shares for index in share} == set(range(13))
    assert sum(map(len, shares)) - 13 < world
    sizes = np.array([(480, 640), (640, 480), (300, 300)] * 7)
    batches = [
        batch
        for rank in range(world)
        for batch in evaluation_batches(sizes, 4, 640, rank=rank, world_size=world)
    ]
    assert sorted(key.image for batch in batches for key in batch) == list(range(21))
    for batch in batches:
        assert len({(key.height, key.width) for key in batch}) == 1
        ratios = [sizes[key.image][0] / sizes[key.image][1] for key in batch]
        assert batch[0].height >= min(ratios) * batch[0].width * 0.9


def test_crowds_are_no_targets(folder):
    path = folder / "annotations" / "train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    counts = {
        info.image_id: int(valid.sum())
        for batch in epoch(datamodule(folder), 0)
        for info, valid in zip(batch.infos, batch.targets.valid, strict=True)
    }
    assert counts.pop(100) == 0
    assert set(counts.values()) == {1}


def test_a_batch_without_objects(folder):
    path = folder / "annotations" / "train.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"annotations": []}))
    (batch, *_) = epoch(datamodule(folder, augmentation=augmentation("paper")), 0)
    assert batch.targets.boxes.shape == (4, 0, 4)


def test_mistakes_are_told_in_one_sentence(folder, tmp_path_factory):
    with pytest.raises(UserError, match=r"There is no data folder .*nowhere: give data.root=DIR"):
        datamodule(folder / "nowhere")
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", overrides=["data=coco", f"data.root={folder / 'nowhere'}"])
    with pytest.raises(UserError, match=r"data download name=coco root=DIR"):
        instantiate(cfg.data).setup("fit")
    other = tmp_path_factory.mktemp("other")
    write_split(other, "train", 3)
    write_split(other, "val", 3, categories=((4, "r"), (9, "g")))
    with pytest.raises(UserError, match=r"val\.json lists other .*train\.json \(90 is missing"):
        datamodule(other)


def test_default_data_is_made_on_first_use_in_its_place_only(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLOV9_LIT_DATA", str(tmp_path))
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        elsewhere = compose("train", overrides=[f"data.root={tmp_path / 'mine'}"])
        cfg = compose("train")
    with pytest.raises(UserError, match=r"no data folder .*mine: give its format too"):
        instantiate(elsewhere.data).prepare_data()
    assert not any(tmp_path.iterdir())
    module = instantiate(cfg.data, num_workers=0)
    assert module.prepare.func is make_shapes
    module.prepare_data()
    module.setup("fit")
    assert module.class_names
    assert len(next(iter(module.val_dataloader())).infos) == 2 * cfg.data.batch_size
