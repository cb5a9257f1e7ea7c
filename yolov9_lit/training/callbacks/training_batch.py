"""The first batch of a training, as it was augmented."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.letterbox import resize_longest
from yolov9_lit.errors import counted
from yolov9_lit.kinds import PositiveInt
from yolov9_lit.reporting.draw import draw_objects, outlines_in_pixels, scaled_mask
from yolov9_lit.reporting.skeleton import Skeleton, skeletons_of
from yolov9_lit.structures import Batch, KeypointLayout
from yolov9_lit.training.loggers.images import LoggedImage, distinct_names, image_loggers

KEY = "train/batch"
SIDE = 320
"""Pixels of an image's side as it is drawn on."""


class TrainingBatch(L.Callback):
    """Hands the first batch's images with their objects to the loggers that take them, once.

    A run that goes on from a checkpoint has shown it already.
    """

    def __init__(self, count: PositiveInt = 16) -> None:
        """Set how many images are drawn at most."""
        self.count = count

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        if trainer.current_epoch or batch_idx or not (loggers := image_loggers(trainer)):
            return
        data: DetectionDataModule = trainer.datamodule  # type: ignore[attr-defined]
        images = drawn_batch(batch, data.class_names, self.count, data.keypoints)
        for logger in loggers:
            logger.log_images(KEY, images, step=0)


def drawn_batch(
    batch: Batch,
    class_names: tuple[str, ...],
    count: int,
    layout: KeypointLayout | None = None,
) -> list[LoggedImage]:
    """Draw the first `count` images of a batch with boxes and masks, and keypoints of a layout."""
    images = batch.images[:count].permute(0, 2, 3, 1).cpu()
    if images.is_floating_point():
        images = (images * 255).round().to(torch.uint8)
    targets = [tensor[:count].cpu().numpy() for tensor in batch.targets[:3]]
    maps = itertools.repeat(None) if batch.targets.masks is None else batch.targets.masks.cpu()
    infos = batch.infos[:count]
    names = distinct_names([info.path for info in infos])
    drawn = []
    rows = zip(names, images.numpy(), *targets, strict=True)
    for place, ((name, image, boxes, labels, valid), drawn_map) in enumerate(
        zip(rows, maps, strict=False)
    ):
        scale = SIDE / max(image.shape[:2])
        kept = boxes[valid] * scale
        scaled = resize_longest(image, SIDE, smooth=True)
        outlines = [_outlines(drawn_map, i, scaled.shape) for i in np.flatnonzero(valid).tolist()]
        skeletons = _skeletons(batch, place, scale, layout)
        pixels = draw_objects(scaled, kept, labels[valid], outlines, class_names, skeletons)
        drawn.append(LoggedImage(name, pixels, f"{name}: {counted(len(kept), 'object')}"))
    return drawn


def _outlines(drawn_map: Tensor | None, box: int, shape: tuple[int, ...]) -> Sequence[np.ndarray]:
    """Return what the map of an image shows of one of its boxes, in an image of a shape."""
    if drawn_map is None:
        return ()
    return outlines_in_pixels(scaled_mask(drawn_map.numpy() == box + 1, shape))


def _skeletons(
    batch: Batch, index: int, scale: float, layout: KeypointLayout | None
) -> list[Skeleton]:
    """Return what is drawn of one image's keypoints, enlarged by a factor."""
    keypoints, valid = batch.targets.keypoints, batch.targets.valid[index]
    if keypoints is None:
        return []
    placed = keypoints[index][valid] * keypoints.new_tensor([scale, scale, 1])
    return skeletons_of(placed.cpu().numpy(), layout)
