"""Images that are handed to loggers, and what becomes of them in the run's folder."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image
from shapes_paths import PATHS

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.reporting.draw import class_colour
from yolov9_lit.reporting.sheet import draw_sheet
from yolov9_lit.structures import Batch, Detections, ImageInfo, Targets
from yolov9_lit.training.callbacks.training_batch import TrainingBatch, drawn_batch
from yolov9_lit.training.callbacks.validation_images import ValidationImages
from yolov9_lit.training.loggers import ContinuingCSVLogger, LoggedImage
from yolov9_lit.training.loggers.images import distinct_names


class Notes:
    """A logger that takes images, as a user may write one."""

    def __init__(self):
        self.calls = []

    def log_images(self, key, images, step, epoch=None):
        self.calls.append((key, images, step, epoch))


def plain(colour, height=20, width=30):
    return np.full((height, width, 3), colour, np.uint8)


def test_a_sheet_holds_each_image_once_as_it_is():
    images = [(plain((i, 1, 2), 20 + i, 30), f"image {i}") for i in range(5)]
    sheet = draw_sheet(images)
    for i, (image, _) in enumerate(images):
        assert (sheet == (i, 1, 2)).all(axis=2).sum() == image.shape[0] * 30


def test_a_caption_longer_than_its_image_is_cut():
    assert draw_sheet([(plain(9), "x" * 500)]).shape[1] < 60


def test_files_of_one_name_are_told_apart():
    assert distinct_names(["a/1.jpg", "b/1.jpg", "2.jpg"]) == ["1.jpg", "1.jpg (2)", "2.jpg"]


def test_the_run_folder_keeps_a_png_of_each_epoch_and_one_of_what_is_shown_once(tmp_path):
    logger = ContinuingCSVLogger(tmp_path, name="", version="")
    shown = [LoggedImage("1.jpg", plain((7, 8, 9)), "one")]
    logger.log_images("train/batch", shown, 0)
    logger.log_images("val/images", shown, 10, epoch=3)
    names = {path.name for path in (tmp_path / "images").iterdir()}
    assert names == {"train_batch.png", "val_images_0003.png"}
    pixels = np.asarray(Image.open(tmp_path / "images" / "val_images_0003.png"))
    assert (pixels == (7, 8, 9)).all(axis=2).sum() == 20 * 30


@pytest.fixture
def data(tiny_shapes):
    module = DetectionDataModule(tiny_shapes, *PATHS, image_size=64, batch_size=2, num_workers=0)
    module.setup("fit")
    return module


def trainer_of(data, logger, epoch=0, epochs=20, **values):
    loader = data.val_dataloader()
    return SimpleNamespace(
        loggers=[logger],
        datamodule=data,
        current_epoch=epoch,
        max_epochs=epochs,
        is_global_zero=True,
        sanity_checking=False,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        val_dataloaders=loader,
        num_val_batches=[len(loader)],
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=7)),
        **values,
    )


def validate(callback, trainer, score=0.9, mask=None):
    """Let a validation pass that finds one box, the left half, in each image.

    Where `mask` is given, it tells of an image's pixels (x, y) which the box's mask covers.
    """
    callback.on_validation_epoch_start(trainer, None)
    for number, batch in enumerate(trainer.val_dataloaders):
        found = [
            Detections(
                torch.tensor([[0.0, 0.0, info.width / 2, info.height]]),
                torch.tensor([score]),
                torch.tensor([0]),
            )
            for info in batch.infos
        ]
        masks = None
        if mask is not None:
            grids = [np.mgrid[: info.height, : info.width] for info in batch.infos]
            masks = [EncodedMasks.of(torch.from_numpy(mask(x, y)[None])) for y, x in grids]
        outputs = {"detections": found, "masks": masks}
        callback.on_validation_batch_end(trainer, None, outputs, batch, number)
    callback.on_validation_epoch_end(trainer, None)


def test_validation_images_are_the_same_in_each_epoch_and_in_a_run_that_goes_on(data):
    logger, callback = Notes(), ValidationImages(count=3, every_n_epochs=1)
    validate(callback, trainer_of(data, logger, epoch=0))
    validate(callback, trainer_of(data, logger, epoch=1))
    validate(ValidationImages(count=3, every_n_epochs=1), trainer_of(data, logger, epoch=2))
    names = [[image.name for image in images] for _, images, _, _ in logger.calls]
    assert len(set(names[0])) == 3
    assert names[0] == names[1] == names[2]
    assert [(key, step, epoch) for key, _, step, epoch in logger.calls] == [
        ("val/images", 7, epoch) for epoch in range(3)
    ]


def test_truth_stands_on_the_left_and_confident_detections_on_the_right(data):
    logger, callback = Notes(), ValidationImages(count=1, every_n_epochs=1)
    validate(callback, trainer_of(data, logger), score=0.9)
    validate(callback, trainer_of(data, logger), score=0.1)
    (seen,), (unseen,) = (images for _, images, _, _ in logger.calls)
    width = seen.pixels.shape[1] // 2
    assert (seen.pixels[:, :width] == unseen.pixels[:, :width]).all()
    differs = (seen.pixels[:, width:] != unseen.pixels[:, width:]).any(axis=2).any(axis=0)
    assert differs[0]
    assert differs[width // 2]
    assert not differs[width // 2 + 3 :].any(), "the box is the left half"
    assert "1 detection" in seen.caption
    assert "0 detections" in unseen.caption


@pytest.mark.parametrize(
    ("every", "epochs", "drawn"),
    [
        (None, 20, [0, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]),
        (None, 3, [0, 1, 2]),
        (4, 10, [0, 3, 7, 9]),
        (100, 5, [0, 4]),
    ],
)
def test_images_are_drawn_at_intervals_and_first_and_last(data, every, epochs, drawn):
    logger, callback = Notes(), ValidationImages(count=1, every_n_epochs=every)
    for epoch in range(epochs):
        validate(callback, trainer_of(data, logger, epoch, epochs))
    assert [epoch for *_, epoch in logger.calls] == drawn


def test_nothing_is_drawn_for_loggers_that_take_no_images_or_on_other_ranks(data):
    notes = Notes()
    for logger, first in ((object(), True), (notes, False)):
        callback, trainer = ValidationImages(), trainer_of(data, logger)
        trainer.is_global_zero = first
        validate(callback, trainer)
        assert not callback._shown
    assert not notes.calls


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_the_first_batch_is_shown_once_with_its_boxes(kind):
    full = torch.full((2, 3, 32, 32), 100, dtype=torch.uint8)
    images = full if kind == torch.uint8 else full / 255
    boxes = torch.tensor([[[8.0, 8.0, 24.0, 24.0], [0, 0, 0, 0]], [[0.0, 0, 0, 0], [0, 0, 0, 0]]])
    valid = torch.tensor([[True, False], [False, False]])
    infos = tuple(ImageInfo(i, f"{i}.jpg", 32, 32) for i in range(2))
    batch = Batch(images, Targets(boxes, torch.zeros(2, 2, dtype=torch.long), valid), infos)
    logger = Notes()
    data = SimpleNamespace(class_names=("a",), keypoints=None)
    trainer = SimpleNamespace(loggers=[logger], datamodule=data, is_global_zero=True)
    for trainer.current_epoch, number in ((0, 0), (0, 1), (1, 0)):
        TrainingBatch().on_train_batch_end(trainer, None, None, batch, number)
    ((key, (boxed, empty), step, epoch),) = logger.calls
    assert (key, step, epoch) == ("train/batch", 0, None)
    assert boxed.caption == "0.jpg: 1 object"
    assert empty.caption == "1.jpg: 0 objects"
    assert (empty.pixels == 100).all()
    rows, columns = np.nonzero((boxed.pixels != 100).any(axis=2))
    assert abs(rows.max() - 240) <= 2, "a box down to three quarters of the side"
    assert abs(columns.max() - 240) <= 2


def test_masks_of_confident_detections_are_drawn_at_the_size_of_the_picture(data):
    """Against the same picture without them: what a mask covers is tinted, the rest not."""

    def upper_left(x, y):
        return (x < 25) & (y < 18)

    pictures = []
    for mask in (None, upper_left):
        logger = Notes()
        validate(ValidationImages(count=1), trainer_of(data, logger), mask=mask)
        ((_, (image,), *_),) = logger.calls
        pictures.append(image.pixels)
    changed = (pictures[0] != pictures[1]).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert abs(rows.max() - 18 / 64 * 320) <= 4
    assert abs(columns.max() - 320 - 25 / 64 * 320) <= 4, "the detections' half of the picture"
    assert changed[30:85, 325:435].mean() > 0.9
    logger = Notes()
    validate(ValidationImages(count=1), trainer_of(data, logger), score=0.1, mask=upper_left)
    ((_, (image,), *_),) = logger.calls
    assert "0 detections" in image.caption


def test_the_first_batch_shows_its_masks_as_the_maps_have_them():
    """Of two objects in one place the map has the smaller one on top, and of a third nothing."""
    images = torch.full((1, 3, 64, 64), 100, dtype=torch.uint8)
    boxes = torch.tensor([[[8.0, 8, 56, 56], [24, 24, 40, 40], [48, 0, 64, 16], [0, 0, 0, 0]]])
    drawn_map = torch.zeros(1, 16, 16, dtype=torch.int16)
    drawn_map[:, 2:14, 2:14] = 1
    drawn_map[:, 6:10, 6:10] = 2
    valid = torch.tensor([[True, True, True, False]])
    labels = torch.tensor([[0, 1, 2, 0]])
    infos = (ImageInfo(0, "0.jpg", 64, 64),)
    bare, masked = (
        drawn_batch(Batch(images, Targets(boxes, labels, valid, m), infos), ("a", "b", "c"), 1)
        for m in (None, drawn_map)
    )
    assert bare[0].caption == masked[0].caption == "0.jpg: 3 objects"
    pixels = masked[0].pixels.astype(int)
    for place, label in (((240, 100), 0), ((160, 160), 1)):
        tint = 0.7 * 100 + 0.3 * np.array(class_colour(label))
        assert np.abs(pixels[place] - tint).max() <= 1
    assert (pixels[20, 305] == 100).all(), "its map does not show the third one"
    assert (bare[0].pixels[160, 160] == 100).all()
