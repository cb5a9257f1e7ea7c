"""Images and labels belong together, told from the pixels, for all workers, ranks and epochs.

An image is all one colour, its image id's; so what is drawn where a box lies tells the image
that the box must come from, whatever the pipeline says.
"""

import faulthandler
import json
import os
import subprocess
import sys
from functools import cache
from itertools import chain
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.flip import RandomFlip
from yolov9_lit.data.transforms.mosaic import Mosaic
from yolov9_lit.data.transforms.pipeline import Augmentation

COUNT, CLASSES, SIZE = 26, 5, 64
EPOCHS, CLOSED = 4, 2
MIN_SIDE = 6  # of a box in pixels, so that its centre is not blended with what is beside it
LEVELS = np.array([20, 70, 180])
IDS = range(100, 100 + COUNT)


def colour(image_id):
    """No two ids share one, and none is the grey of the padding."""
    digits = (image_id - IDS[0]) // np.array([1, 3, 9]) % 3
    return tuple(int(v) for v in LEVELS[digits])


def label(image_id):
    return image_id % CLASSES


def width_over_height(image_id):
    return 0.5 + 0.1 * (image_id - IDS[0])


def write_images(root):
    images, annotations = [], []
    for split in ("train", "val"):
        (root / split).mkdir(parents=True)
    for i in np.random.default_rng(0).permutation(IDS).tolist():
        Image.new("RGB", (SIZE, SIZE), colour(i)).save(root / "train" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": SIZE, "width": SIZE})
        height = 12
        width = height * width_over_height(i)
        x, y = 4, 20
        outline = [x, y, x + width, y, x + width, y + height, x, y + height]
        objects = {"bbox": [x, y, width, height], "segmentation": [outline], "iscrowd": 0}
        annotations.append({"image_id": i, "category_id": 10 * label(i), **objects})
    annotations = [{"id": k, **a} for k, a in enumerate(reversed(annotations))]
    Image.new("RGB", (SIZE, SIZE)).save(root / "val" / "0.png")
    categories = [{"id": 10 * k, "name": str(k)} for k in range(CLASSES)]
    val = [{"id": 1, "file_name": "0.png", "height": SIZE, "width": SIZE}]
    for split, rows, objects in (("train", images, annotations), ("val", val, [])):
        content = {"images": rows, "annotations": objects, "categories": categories}
        (root / f"{split}.json").write_text(json.dumps(content))


def datamodule(root, workers, seed=0):
    """All that moves objects, nothing that changes colours."""
    moving = [Mosaic(SIZE), RandomAffine(SIZE, scale=0.2), RandomFlip(0.5, 0.5)]
    module = DetectionDataModule(
        *(root, "train", "train.json", "val", "val.json"),
        image_size=SIZE,
        batch_size=4,
        num_workers=workers,
        augmentation=Augmentation(moving),
        close_mosaic_epochs=CLOSED,
        seed=seed,
    )
    module.setup("fit")
    return module


def assert_belongs(batch, *, closed):
    """Boxes lie on their own images; once mosaic has closed, on the one that `infos` names."""
    for image, boxes, labels, valid, info in zip(
        batch.images, *batch.targets[:3], batch.infos, strict=True
    ):
        assert Path(info.path).stem == str(info.image_id)
        assert valid.sum() <= 1 or not closed
        for box, found in zip(boxes[valid], labels[valid], strict=True):
            if (box[2:] - box[:2]).min() < MIN_SIDE:
                continue
            shown = shown_id(image, box)
            assert found == label(shown)
            width, height = (box[2:] - box[:2]).tolist()
            cut = box.min() < 1 or box.max() > SIZE - 1 or not closed
            assert cut or width / height == pytest.approx(width_over_height(shown), abs=0.01)
            assert shown == info.image_id or not closed


def shown_id(image, box):
    """The id of the image at a box's centre."""
    x, y = ((box[:2] + box[2:]) / 2).long().tolist()
    pixel = image[:, y, x].numpy().astype(int)
    distance = {i: np.abs(pixel - colour(i)).max() for i in IDS}
    nearest = min(distance, key=distance.__getitem__)
    assert distance[nearest] <= 2, f"{pixel} is no image's colour"
    return nearest


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    write_images(root)
    return root


@cache
def training(root, workers, world, rank, seed=0):
    """The batches of each epoch of a rank, from one loader whose workers live through all."""

    class Trainer:
        max_epochs, global_rank, world_size = EPOCHS, rank, world

    module = datamodule(root, workers, seed)
    module.trainer = Trainer()
    loader = module.train_dataloader()
    epochs = []
    for number in range(EPOCHS):
        loader.sampler.set_epoch(number)
        epochs.append([unshared(batch) for batch in loader])
    return epochs


def unshared(batch):
    """Copies: the workers' shared memory is not to be held."""
    targets = type(batch.targets)(*(tensor.clone() for tensor in batch.targets[:3]))
    return batch._replace(images=batch.images.clone(), targets=targets)


def ids(batches):
    return [info.image_id for batch in batches for info in batch.infos]


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("workers", [0, 2, 4])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_labels_belong_to_their_images(root, workers, world):
    ranks = [training(root, workers, world, rank) for rank in range(world)]
    for number in range(EPOCHS):
        batches = [batch for epochs in ranks for batch in epochs[number]]
        closed = number >= EPOCHS - CLOSED
        for batch in batches:
            assert_belongs(batch, closed=closed)
        assert sorted(ids(batches)) == list(IDS), "each image once an epoch"
        assert closed or max(batch.targets.valid.sum(dim=1).max() for batch in batches) > 1


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_equal_seeds_give_equal_batches(root, workers, world):
    for rank in range(world):
        ours, alone = training(root, workers, world, rank), training(root, 0, world, rank)
        for batch, expected in zip(chain(*ours), chain(*alone), strict=True):
            assert torch.equal(batch.images, expected.images)
            assert all(map(torch.equal, batch.targets[:3], expected.targets[:3]))
            assert batch.infos == expected.infos


def test_epochs_ranks_and_seeds_differ(root):
    epochs = training(root, 0, 1, 0)
    other = training(root, 0, 1, 0, seed=1)
    orders = [ids(batches) for batches in (*epochs, *other)]
    assert len(set(map(tuple, orders))) == 2 * EPOCHS
    first, second = (training(root, 0, 2, rank) for rank in range(2))
    for ours, theirs in zip(first, second, strict=True):
        assert not set(ids(ours)) & set(ids(theirs))


class Witness(L.LightningModule):
    """Checks each batch it is trained on, and keeps the ids by epoch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = [[] for _ in range(EPOCHS)]

    def training_step(self, batch, index):
        assert_belongs(batch, closed=self.current_epoch >= EPOCHS - CLOSED)
        self.seen[self.current_epoch] += ids([batch])
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def train_on_two_processes(root, out):
    """This file as a script: Lightning starts it again for the second rank."""
    witness = Witness()
    trainer = L.Trainer(
        accelerator="cpu",
        strategy="ddp",
        devices=2,
        max_epochs=EPOCHS,
        use_distributed_sampler=False,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(witness, datamodule(root, workers=1))
    (out / f"{trainer.global_rank}.json").write_text(json.dumps(witness.seen))


@pytest.mark.slow
def test_two_processes_share_each_epoch(root, tmp_path):
    done = subprocess.run(
        [sys.executable, __file__, str(root), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for number in range(EPOCHS):
        assert sorted(first[number] + second[number]) == list(IDS)
        assert first[number] == [
            i for batch in training(root, 0, 2, 0)[number] for i in ids([batch])
        ]


if __name__ == "__main__":
    faulthandler.dump_traceback_later(240, exit=True)  # of a hang the test tells where it was
    train_on_two_processes(Path(sys.argv[1]), Path(sys.argv[2]))
