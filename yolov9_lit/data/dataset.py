"""Data sets for training and evaluation, and how samples become a batch.

Everything random about a training sample follows from its key, which the sampler makes in the main
process: samples are the same whatever the number of workers, and persistent workers need no
message when an epoch begins or mosaic closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.cache import ReadScaled
from yolov9_lit.data.images import UnreadableImage, check_size, load_image
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.letterbox import (
    evaluation_letterbox,
    fitted_size,
    place_boxes,
    place_points,
)
from yolov9_lit.data.masks import index_map
from yolov9_lit.data.sample import Sample
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError
from yolov9_lit.structures import Batch, ImageInfo, SkippedImage, Targets

if TYPE_CHECKING:  # Few evaluations corrupt, and albumentations takes a second to import.
    from yolov9_lit.data.corruptions.corruption import Corruption


class TrainKey(NamedTuple):
    """Which training sample.

    Attributes:
        image: its index.
        epoch: in which it is used.
        closing: whether mosaic has closed.
        partners: indices of the images that it may be mixed with.
        repeat: how often the image came before in the epoch.
    """

    image: int
    epoch: int
    closing: bool
    partners: Sequence[int]
    repeat: int = 0


class EvalKey(NamedTuple):
    """Which evaluation sample: index of the image, and its batch's input shape in pixels."""

    image: int
    height: int
    width: int


class Item(NamedTuple):
    """One input: image (H, W, 3) uint8 RGB, boxes (K, 4) xyxy in its pixels, labels (K,).

    `skipped` lists the images that others replace; `masks` is what `index_map` makes of the
    objects, `keypoints` are (K, J, 3) and `extra` (K, E) as `Targets` has them; None where the task
    needs none.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    info: ImageInfo
    skipped: tuple[SkippedImage, ...] = ()
    masks: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    extra: np.ndarray | None = None


_MOST_TRIES = 100

_SHORT_EDGE = 4.0  # Pixels of an outline's edge before augmentation: about one of a mask.


@dataclass(frozen=True, eq=False)
class TrainDataset(Dataset[Item]):
    """Augmented square images without regions of crowds.

    Another image, drawn from the sample's own rng, replaces one that cannot be used.

    Attributes:
        annotations: of the training images.
        read: gives the images scaled to `image_size`.
        augmentation: applied to each.
        image_size: side of the square inputs in pixels.
        seed: of all randomness.
        masks: whether the inputs have masks.
        keypoints: whether they have keypoints.
    """

    annotations: Annotations
    read: ReadScaled
    augmentation: Augmentation
    image_size: int
    seed: int
    masks: bool = False
    keypoints: bool = False

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.annotations)

    def __getitem__(self, key: TrainKey) -> Item:
        """Make the input of a key; see `sample`."""
        sample, skipped, drawn = self.sample(key)
        info = ImageInfo(
            image_id=int(self.annotations.image_ids[key.image]),
            path=self.annotations.images.name(key.image),
            height=self.image_size,
            width=self.image_size,
            position=key.image,
            drawn=drawn,
        )
        masks = index_map(sample.polygons, sample.image.shape[:2]) if self.masks else None
        keypoints = _in_image(sample.keypoints, sample.image) if self.keypoints else None
        extra = sample.extra.values if self.annotations.extra else None
        return Item(
            *(sample.image, sample.boxes, sample.labels, info, skipped, masks, keypoints, extra)
        )

    def sample(self, key: TrainKey) -> tuple[Sample, tuple[SkippedImage, ...], int]:
        """Make the sample of a key.

        Returns:
            The sample, the images that others replace, and the number of boxes of all images that
            went into it.

        Raises:
            UserError: image after image cannot be used.
        """
        rng = np.random.default_rng((self.seed, key.epoch, key.image, key.repeat))
        skipped: list[SkippedImage] = []
        drawn = 0

        def draw(index: int) -> Sample:
            nonlocal drawn
            for _ in range(_MOST_TRIES):
                try:
                    sample, boxes = self._read(index)
                    drawn += boxes
                    return sample
                except UnreadableImage as error:
                    skipped.append(SkippedImage(index, error.name, error.fault))
                    index = key.partners[int(rng.integers(len(key.partners)))]
            raise UserError(
                f"{_MOST_TRIES} images in a row of {self.annotations.path} cannot be used, the "
                f"last one, {skipped[-1].name}, because it {skipped[-1].fault}: look at the data "
                "with `python -m yolov9_lit.data check`."
            )

        sample = self.augmentation(
            draw,
            key.image,
            key.partners,
            image_size=self.image_size,
            rng=rng,
            closing=key.closing,
        )
        return sample, tuple(skipped), drawn

    def _read(self, index: int) -> tuple[Sample, int]:
        """Return an image with its objects but crowds, and the number of these."""
        objects = self.annotations.objects(index)
        image, height, width = self.read(index)
        sample = Sample(image, objects.boxes, objects.labels, objects.polygons, extra=objects.extra)
        if self.keypoints:
            sample = replace(sample, keypoints=objects.keypoints)
        sample = sample.scaled_from(height, width)
        if self.masks:
            sample = replace(sample, polygons=sample.polygons.dense(_SHORT_EDGE))
        # Of slivers in huge images 32-bit coordinates may leave nothing.
        seen = (sample.boxes[:, 2:] > sample.boxes[:, :2]).all(axis=1)
        single = ~objects.crowd
        return sample.keep(single & seen), int(single.sum())


@dataclass(frozen=True, eq=False)
class EvalDataset(Dataset[Item | SkippedImage]):
    """Letterboxed images; the loss has no crowds as targets (the metric reads its own truth).

    Attributes:
        annotations: of the images.
        image_size: longest side of an image in pixels; None for as long as the input has room for.
        masks: whether the inputs have masks.
        keypoints: whether they have keypoints.
        corruption: what is done to each image before it is letterboxed.
    """

    annotations: Annotations
    image_size: int | None
    masks: bool = False
    keypoints: bool = False
    corruption: Corruption | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.annotations)

    def __getitem__(self, key: EvalKey) -> Item | SkippedImage:
        """Read and letterbox the image of a key; return its fault where it cannot be used."""
        path = self.annotations.images.name(key.image)
        try:
            original = load_image(self.annotations.images, key.image)
            check_size(original, self.annotations.sizes[key.image], path)
        except UnreadableImage as error:
            return SkippedImage(key.image, error.name, error.fault)
        height, width = original.shape[:2]
        objects = self.annotations.objects(key.image)
        image_id = int(self.annotations.image_ids[key.image])
        if self.corruption is not None:
            original, warp = self.corruption.apply(original, image_id)
            if warp:
                objects = warp.objects(objects)
        shape = (key.height, key.width)
        longest = self.image_size or fitted_size((height, width), shape)
        image, placement = evaluation_letterbox(original, shape, longest)
        single = ~objects.crowd
        boxes = place_boxes(objects.boxes[single], placement)
        masks = None
        if self.masks:
            polygons = objects.polygons.take(single)
            polygons = polygons.at(place_points(polygons.points, placement))
            masks = index_map(polygons, shape)
        info = ImageInfo(
            image_id, path, height, width, *placement, position=key.image, drawn=len(boxes)
        )
        keypoints = None
        if self.keypoints:
            found = objects.keypoints.take(single)
            keypoints = _in_image(found.at(place_points(found.points, placement)), image)
        extra = objects.extra.take(single).values if self.annotations.extra else None
        return Item(image, boxes, objects.labels[single], info, (), masks, keypoints, extra)


def _in_image(keypoints: Keypoints, image: np.ndarray) -> np.ndarray:
    """Return keypoints as `Targets` has them."""
    height, width = image.shape[:2]
    return keypoints.within(height, width).values


def collate(entries: Sequence[Item | SkippedImage]) -> Batch:
    """Stack images to (B, 3, H, W) uint8 and pad the targets to the fullest image.

    Skipped images are left out: there may be no image at all.
    """
    items = [entry for entry in entries if isinstance(entry, Item)]
    skipped = [entry for entry in entries if isinstance(entry, SkippedImage)]
    skipped += [image for item in items for image in item.skipped]
    height, width = items[0].image.shape[:2] if items else (0, 0)
    images = np.empty((len(items), 3, height, width), dtype=np.uint8)
    for item, planes in zip(items, images, strict=True):
        cv2.split(item.image, list(planes))  # into its place, as planes
    most = max((len(item.labels) for item in items), default=0)
    boxes = np.zeros((len(items), most, 4), dtype=np.float32)
    labels = np.zeros((len(items), most), dtype=np.int64)
    valid = np.zeros((len(items), most), dtype=bool)
    for i, item in enumerate(items):
        count = len(item.labels)
        boxes[i, :count], labels[i, :count], valid[i, :count] = item.boxes, item.labels, True
    maps = [item.masks for item in items if item.masks is not None]
    masks = torch.from_numpy(np.stack(maps)) if maps else None
    targets = Targets(
        torch.from_numpy(boxes),
        torch.from_numpy(labels),
        torch.from_numpy(valid),
        masks,
        _padded([item.keypoints for item in items if item.keypoints is not None], most),
        _padded([item.extra for item in items if item.extra is not None], most),
    )
    infos = tuple(item.info for item in items)
    return Batch(torch.from_numpy(images), targets, infos, tuple(skipped))


def _padded(values: Sequence[np.ndarray], most: int) -> torch.Tensor | None:
    """Return what objects (K, ...) of B images have as (B, most, ...); None of no images."""
    if not values:
        return None
    padded = np.zeros((len(values), most, *values[0].shape[1:]), dtype=np.float32)
    for objects, rows in zip(values, padded, strict=True):
        rows[: len(objects)] = objects
    return torch.from_numpy(padded)
