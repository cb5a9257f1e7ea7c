"""Two steps of a training on images made up, to see what memory they take."""

from __future__ import annotations

import gc
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.memory import is_oom_error
from torch import Tensor
from torch.utils.data import DataLoader

from yolov9_lit.data.masks import index_map
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.structures import Batch, ImageInfo, Targets
from yolov9_lit.training.module import DetectionModule

STEPS = 2
"""In the second one the optimiser's state and the gradients' memory are there."""


def made_up_batch(
    size: int,
    image_size: int,
    objects: int,
    classes: int,
    channels: int = 3,
    *,
    masks: bool = False,
    keypoints: int = 0,
) -> Batch:
    """Make images (B, C, S, S) uint8 and boxes of 5 to 60 % of a side, the same each time.

    Args:
        size: B.
        image_size: S, pixels of a side.
        objects: of each image.
        classes: that the labels are of.
        channels: C.
        masks: whether the objects have masks, which fill their boxes.
        keypoints: of each object, anywhere in its box; none where the task needs none.
    """
    random = torch.Generator().manual_seed(0)
    count = (size, objects)
    shape = (size, channels, image_size, image_size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=random)
    sizes = image_size * (0.05 + 0.55 * torch.rand(*count, 2, generator=random))
    corners = (image_size - sizes) * torch.rand(*count, 2, generator=random)
    labels = torch.randint(classes, count, generator=random)
    boxes = torch.cat((corners, corners + sizes), dim=-1)
    maps = _filled_boxes(boxes, image_size) if masks else None
    places = corners.unsqueeze(-2) + sizes.unsqueeze(-2) * torch.rand(
        *count, keypoints, 2, generator=random
    )
    visible = torch.cat((places, torch.full_like(places[..., :1], 2)), dim=-1)
    targets = Targets(boxes, labels, labels >= 0, maps, visible if keypoints else None)
    return Batch(images, targets, (ImageInfo(0, "", image_size, image_size),) * size)


def _filled_boxes(boxes: Tensor, image_size: int) -> Tensor:
    """Draw boxes (B, G, 4) as `Targets.masks` has objects."""
    x1, y1, x2, y2 = boxes.numpy().transpose(2, 0, 1)
    corners = np.stack((x1, y1, x2, y1, x2, y2, x1, y2), axis=-1).reshape(*x1.shape, 4, 2)
    outlines = (FlatPolygons.pack([corner] for corner in image) for image in corners)
    maps = [index_map(polygons, (image_size, image_size)) for polygons in outlines]
    return torch.from_numpy(np.stack(maps))


def fits(trainer: L.Trainer, module: DetectionModule, batch: Batch) -> bool:
    """Take two steps with a batch, each with an update; tell whether memory was enough."""
    batches: Any = DataLoader([batch] * STEPS, batch_size=None)  # type: ignore[arg-type]
    try:
        trainer.fit(module, batches)
    except Exception as error:
        if not (isinstance(error, torch.OutOfMemoryError) or is_oom_error(error)):
            raise
        return False
    return True


def clear() -> None:
    """Give back what a trial that is out of scope has left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
