"""The training loaders that are measured: this package's, Ultralytics', the published one.

All make batches of augmented images in this process, the others through their public classes,
with the paper's augmentation and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from omegaconf import DictConfig
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader

from benchmarks.layout import Layout
from benchmarks.peers import (
    published_module,
    require_clone,
    ultralytics_is_there,
    ultralytics_module,
)
from yolov9_lit.building import build

PAPER = {
    "hsv_h": 0.015,
    "hsv_s": 0.7,
    "hsv_v": 0.4,
    "degrees": 0.0,
    "translate": 0.1,
    "scale": 0.9,
    "shear": 0.0,
    "perspective": 0.0,
    "flipud": 0.0,
    "fliplr": 0.5,
    "mosaic": 1.0,
    "mixup": 0.15,
    "copy_paste": 0.3,
}
"""The paper's augmentation in the others' settings; this package's is conf/augment/paper.yaml."""

Batches = Iterable[Any]


class Loader(NamedTuple):
    """A training loader.

    Attributes:
        name: of the package, with its version.
        start: given a data set and whether all images are to be in memory, returns the batches.
    """

    name: str
    start: Callable[[Layout, bool], Batches]


def find_loaders(data: DictConfig, published: str | None) -> list[Loader]:
    """Return this package's loader, and the others where they are installed.

    Args:
        data: config of this package's data module.
        published: folder of a clone of the published repository; None to leave it out.
    """
    loaders = [Loader("yolov9_lit", partial(ours, data))]
    if ultralytics_is_there():
        version = ultralytics_module().__version__
        loaders.append(Loader(f"ultralytics {version}", partial(ultralytics, data)))
    if published is not None:
        require_clone("published", published, "utils/dataloaders.py")
        loaders.append(Loader("published", partial(published_loader, data, published)))
    return loaders


def single_threaded() -> None:
    """Give this process one thread, so that its time is that of one core."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    threadpool_limits(1)  # NumPy's products of matrices: of outlines, in Ultralytics' loader.


def our_loader(layout: Layout, data: DictConfig, **settings: Any) -> DataLoader:
    """Build this package's loader, with some settings changed."""
    paths = dict.fromkeys(("train_images", "val_images"), "images")
    paths |= dict.fromkeys(("train_annotations", "val_annotations"), "train.json")
    module = build(data, root=str(layout.root), **paths, **settings)
    module.setup("fit")
    return module.train_dataloader()


def ours(data: DictConfig, layout: Layout, in_memory: bool) -> Batches:
    """Start this package's loader."""
    if not in_memory:
        return our_loader(layout, data, num_workers=0)
    loader = our_loader(layout, data, num_workers=0, cache="ram", cache_gb=16.0)
    dataset: Any = loader.dataset
    for index in range(len(dataset)):
        dataset.read(index)
    return loader


def ultralytics(data: DictConfig, layout: Layout, in_memory: bool) -> Batches:
    """Start that of Ultralytics."""
    package = ultralytics_module("ultralytics.data.dataset")
    settings = ultralytics_module("ultralytics.cfg").get_cfg(overrides=PAPER)
    dataset = package.YOLODataset(
        img_path=str(layout.root / "images"),
        imgsz=data.image_size,
        batch_size=data.batch_size,
        augment=True,
        hyp=settings,
        cache="ram" if in_memory else None,
        data={"names": dict(enumerate(layout.class_names)), "nc": len(layout.class_names)},
    )
    steps = dataset.transforms.transforms
    steps[:] = [step for step in steps if type(step).__name__ != "Albumentations"]
    return _batches(dataset, data.batch_size, dataset.collate_fn)


def published_loader(data: DictConfig, published: str, layout: Layout, in_memory: bool) -> Batches:
    """Start that of the published repository."""
    package = published_module(published, "utils.dataloaders")
    dataset = package.LoadImagesAndLabels(
        str(layout.root / "images"),
        data.image_size,
        data.batch_size,
        augment=True,
        hyp=PAPER,
        cache_images="ram" if in_memory else False,
    )
    dataset.albumentations.transform = None
    return _batches(dataset, data.batch_size, dataset.collate_fn)


def _batches(dataset: Any, batch_size: int, collate: Callable[..., Any]) -> Batches:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    return DataLoader(dataset, batch_size, shuffle=True, collate_fn=collate)
