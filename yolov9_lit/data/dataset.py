"""Data sets for training and evaluation, and how samples become a batch.

Everything random about a training sample follows from its key, which the sampler makes in the main
process: samples are the same whatever the number of workers, and persistent workers need no
message when an epoch begins or mosaic closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from yolov9_lit.data.coco import CocoAnnotations, read_image
from yolov9_lit.data.letterbox import evaluation_letterbox, fitted_size, place_boxes
from yolov9_lit.data.sample import Sample
from yolov9_lit.data.transforms.pipeline import Augmentation, resize_sample
from yolov9_lit.errors import UserError
from yolov9_lit.structures import Batch, ImageInfo, Targets


class TrainKey(NamedTuple):
    """Which training sample: index of the picture, epoch, and whether mosaic has closed."""

    picture: int
    epoch: int
    closing: bool


class EvalKey(NamedTuple):
    """Which evaluation sample: index of the picture, and its batch's input shape in pixels."""

    picture: int
    height: int
    width: int


class Item(NamedTuple):
    """One input: image (H, W, 3) uint8 RGB, boxes (K, 4) xyxy in its pixels, labels (K,)."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    info: ImageInfo


class TrainDataset(Dataset[Item]):
    """Augmented square pictures; regions of crowds are not trained on."""

    def __init__(
        self, annotations: CocoAnnotations, augmentation: Augmentation, image_size: int, seed: int
    ) -> None:
        """Set the parts.

        Args:
            annotations: of the training pictures.
            augmentation: applied to each.
            image_size: side of the square inputs in pixels.
            seed: of all randomness.
        """
        self.annotations = annotations
        self.augmentation = augmentation
        self.image_size = image_size
        self.seed = seed

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.annotations)

    def __getitem__(self, key: TrainKey) -> Item:
        """Make the sample of a key."""
        sample = self.augmentation(
            self._read,
            key.picture,
            len(self),
            image_size=self.image_size,
            rng=np.random.default_rng((self.seed, key.epoch, key.picture)),
            closing=key.closing,
        )
        info = ImageInfo(
            image_id=int(self.annotations.image_ids[key.picture]),
            path=str(self.annotations.image_path(key.picture)),
            height=self.image_size,
            width=self.image_size,
        )
        return Item(sample.image, sample.boxes, sample.labels, info)

    def _read(self, index: int) -> Sample:
        objects = self.annotations.objects(index)
        sample = Sample(
            image=read_image(self.annotations.image_path(index)),
            boxes=objects.boxes,
            labels=objects.labels,
            polygons=tuple(tuple(outlines) for outlines in objects.polygons),
        )
        return resize_sample(sample.keep(~objects.crowd), self.image_size)


class EvalDataset(Dataset[Item]):
    """Letterboxed pictures; crowds are no targets of the loss (the metric has its own truth)."""

    def __init__(self, annotations: CocoAnnotations, image_size: int | None) -> None:
        """Set the parts.

        Args:
            annotations: of the pictures.
            image_size: longest side of a picture in pixels; None for as long as the input has
                room for.
        """
        self.annotations = annotations
        self.image_size = image_size

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.annotations)

    def __getitem__(self, key: EvalKey) -> Item:
        """Read and letterbox the picture of a key.

        Raises:
            UserError: the picture is unreadable, or of another shape than its annotations say.
        """
        path = self.annotations.image_path(key.picture)
        picture = read_image(path)
        height, width = picture.shape[:2]
        shape = (key.height, key.width)
        try:
            longest = self.image_size or fitted_size((height, width), shape)
            image, placement = evaluation_letterbox(picture, shape, longest)
        except ValueError as error:  # The batch's shape was chosen by the sizes in the file.
            said_height, said_width = self.annotations.sizes[key.picture]
            raise UserError(
                f"picture {path} is {width} x {height} pixels, but its annotation file says "
                f"{said_width} x {said_height}: correct its width and height there"
            ) from error
        objects = self.annotations.objects(key.picture)
        single = ~objects.crowd
        image_id = int(self.annotations.image_ids[key.picture])
        info = ImageInfo(image_id, str(path), height, width, *placement)
        boxes = place_boxes(objects.boxes[single], placement)
        return Item(image, boxes, objects.labels[single], info)


def collate(items: Sequence[Item]) -> Batch:
    """Stack images to (B, 3, H, W) uint8 and pad the targets to the fullest image."""
    images = torch.from_numpy(np.stack([item.image for item in items])).permute(0, 3, 1, 2)
    most = max(len(item.labels) for item in items)
    boxes = np.zeros((len(items), most, 4), dtype=np.float32)
    labels = np.zeros((len(items), most), dtype=np.int64)
    valid = np.zeros((len(items), most), dtype=bool)
    for i, item in enumerate(items):
        count = len(item.labels)
        boxes[i, :count], labels[i, :count], valid[i, :count] = item.boxes, item.labels, True
    targets = Targets(*(torch.from_numpy(array) for array in (boxes, labels, valid)))
    return Batch(images.contiguous(), targets, tuple(item.info for item in items))
