"""A few validation images with truth and detections, the same ones throughout the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.images import load_image
from yolov9_lit.data.letterbox import resize_longest
from yolov9_lit.data.sample import Sample
from yolov9_lit.errors import counted
from yolov9_lit.evaluation.masks import EncodedMasks, decoded
from yolov9_lit.kinds import PositiveInt, Share
from yolov9_lit.reporting.draw import draw_detections, draw_objects, scaled_mask
from yolov9_lit.reporting.skeleton import skeletons_of
from yolov9_lit.structures import Batch, Detections
from yolov9_lit.training.loggers.images import LoggedImage, distinct_names, image_loggers
from yolov9_lit.training.loggers.rows import current_step

KEY = "val/images"
SIDE = 320
"""Pixels of an image's longest side as it is drawn on: twice that for truth and detections."""

TIMES = 10
"""How often images are drawn in a training, where no interval is given."""


class _Shown(NamedTuple):
    """What of an image remains the same."""

    name: str
    image: np.ndarray  # scaled
    truth: np.ndarray  # the same with its objects
    objects: int


class _Found(NamedTuple):
    """What is drawn of an image's detections."""

    detections: Detections  # boxes as shares of the image's sides
    masks: EncodedMasks | None  # of the detections, in the original image's pixels
    captions: list[str]  # of the detections, of what the head says more


class ValidationImages(L.Callback):
    """Hands images to the loggers that take them: truth on the left, detections on the right.

    They are taken at equal distances from those with objects: a run that goes on shows the same.
    What is drawn on is read once and kept. Of several ranks the first shows images of its share.
    """

    def __init__(
        self,
        count: PositiveInt = 4,
        every_n_epochs: PositiveInt | None = None,
        confidence: Share = 0.25,
    ) -> None:
        """Set what is drawn.

        Args:
            count: most images.
            every_n_epochs: after how many epochs, besides the first and the last one; by default
                a tenth of the training.
            confidence: least score to draw, 0..1.
        """
        self.count = count
        self.every_n_epochs = every_n_epochs
        self.confidence = confidence
        self._names: dict[int, str] = {}  # by position in the split
        self._shown: dict[int, _Shown] = {}
        self._found: dict[int, _Found] = {}
        self._due = False

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._due = self._is_due(trainer) and bool(image_loggers(trainer))
        self._found.clear()
        if self._due and not self._names:
            annotations = _datamodule(trainer).annotations("val")
            chosen = _spread(_with_objects(annotations, _positions(trainer)), self.count)
            names = distinct_names([annotations.images.name(i) for i in chosen])
            self._names = dict(zip(chosen, names, strict=True))

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not self._due:
            return
        for i, (info, found) in enumerate(zip(batch.infos, outputs["detections"], strict=True)):
            if info.position in self._names:
                relative = _scaled(found, 1 / info.width, 1 / info.height)
                confident = found.scores >= self.confidence
                masks = None
                if outputs["masks"]:
                    masks = outputs["masks"][i].take(confident.cpu().numpy())
                kept = relative.select(confident).cpu()
                captions = [] if kept.extra is None else _captions(pl_module, kept.extra)
                self._found[info.position] = _Found(kept, masks, captions)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._found:
            return
        data = _datamodule(trainer)
        images = [self._drawn(i, found, data) for i, found in sorted(self._found.items())]
        for logger in image_loggers(trainer):
            logger.log_images(KEY, images, current_step(trainer), trainer.current_epoch)

    def _is_due(self, trainer: L.Trainer) -> bool:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return False
        epochs = trainer.max_epochs or 1
        every = self.every_n_epochs or max(epochs // TIMES, 1)
        done = trainer.current_epoch + 1
        return done in (1, epochs) or done % every == 0

    def _drawn(self, position: int, found: _Found, data: DetectionDataModule) -> LoggedImage:
        """Draw an image with its detections."""
        if position not in self._shown:
            self._shown[position] = _shown(self._names[position], data, position)
        name, image, truth, objects = self._shown[position]
        height, width = image.shape[:2]
        shares, encoded, captions = found
        masks = None if encoded is None else _masks_in(encoded, image.shape)
        pixels = _scaled(shares, width, height)._replace(masks=masks)
        beside = draw_detections(image, pixels, data.class_names, data.keypoints, captions)
        seen = counted(len(shares.scores), "detection")
        caption = f"{name}: {counted(objects, 'object')}, {seen}"
        return LoggedImage(name, np.hstack([truth, beside]), caption)


def _captions(module: Any, extra: Tensor) -> list[str]:
    """Return what the head of a module that trains says of extra numbers (N, E)."""
    return list(module.detector.head.captions(extra))


def _scaled(found: Detections, x: float, y: float) -> Detections:
    """Return boxes and keypoints with their coordinates multiplied."""
    boxes = found.boxes * found.boxes.new_tensor([x, y, x, y])
    if found.keypoints is None:
        return found._replace(boxes=boxes)
    keypoints = found.keypoints * found.keypoints.new_tensor([x, y, 1])
    return found._replace(boxes=boxes, keypoints=keypoints)


def _masks_in(masks: EncodedMasks, shape: tuple[int, ...]) -> Tensor:
    """Return masks in a picture of a shape (h, w, ...): (N, h, w) bool."""
    found = np.zeros((len(masks), *shape[:2]), dtype=bool)
    for row, mask in zip(found, masks.rles(), strict=True):  # Of large images one at a time.
        row[:] = scaled_mask(decoded(mask), shape)
    return torch.from_numpy(found)


def _shown(name: str, data: DetectionDataModule, position: int) -> _Shown:
    annotations = data.annotations("val")
    image = resize_longest(load_image(annotations.images, position), SIDE, smooth=True)
    objects = annotations.objects(position)
    boxes, labels, crowd, polygons, keypoints, _ = objects
    sample = Sample(image, boxes, labels, polygons, keypoints).keep(~crowd)
    scaled = sample.scaled_from(*annotations.sizes[position].tolist())
    truth = draw_objects(
        *(image, scaled.boxes, scaled.labels, list(scaled.polygons), annotations.class_names),
        skeletons_of(scaled.keypoints.values, data.keypoints),
    )
    return _Shown(name, image, truth, len(scaled.labels))


def _datamodule(trainer: L.Trainer) -> DetectionDataModule:
    data: DetectionDataModule = trainer.datamodule  # type: ignore[attr-defined]
    return data


def _positions(trainer: L.Trainer) -> list[int]:
    """Return the positions of this rank's validation images that are evaluated, in order."""
    batches = list(trainer.val_dataloaders.batch_sampler)  # type: ignore[union-attr]
    limit = trainer.num_val_batches[0]
    return sorted({key.image for i, batch in enumerate(batches) if i < limit for key in batch})


def _with_objects(annotations: Annotations, positions: Sequence[int]) -> Sequence[int]:
    """Return those of some images that have objects, all where none has."""
    objects = np.diff(annotations.offsets)
    return [i for i in positions if objects[i]] or positions


def _spread(positions: Sequence[int], count: int) -> list[int]:
    """Return up to `count` positions at equal distances, the first among them."""
    places = np.linspace(0, len(positions), min(count, len(positions)), endpoint=False)
    return [positions[int(place)] for place in places]
