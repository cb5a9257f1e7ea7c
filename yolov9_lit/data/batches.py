"""How the images of a data set become batches: the loaders of training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from yolov9_lit.checks import whole_number
from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.dataset import EvalDataset, TrainDataset, collate
from yolov9_lit.data.disk_cache import open_disk_cache
from yolov9_lit.data.loader import AHEAD, TrainLoader, require_memory, single_threaded
from yolov9_lit.data.ram_cache import RamCache
from yolov9_lit.data.samplers import AspectRatioBatchSampler, EpochSampler
from yolov9_lit.data.scaled import ReadScaled, ScaledImages
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The settings of all loaders of a data set.

    Attributes:
        cache_dir: folder of a cache on disk.
        image_size: training images are squares of it, evaluation's longest sides are.
        batch_size: images of a training batch on one device.
        eval_batch_size: images of an evaluation batch; twice the training's by default.
        eval_shape: (height, width) of every evaluation input, filled as far as each image can;
            by default each batch has the shape of its images.
        num_workers: processes that read and augment; 0 for none.
        augmentation: of training; letterbox alone by default.
        partner_pool: number of training images that are mixed with each other; None for all.
        cache: of training images scaled to `image_size`: in memory shared by the workers, on
            disk, or none.
        cache_gb: its limit, of one device in memory.
        seed: of all randomness in the data.
    """

    cache_dir: Path
    image_size: int = 640
    batch_size: int = 16
    eval_batch_size: int | None = None
    eval_shape: tuple[int, int] | None = None
    num_workers: int = 4
    augmentation: Augmentation | None = None
    partner_pool: int | None = 256
    cache: Literal["ram", "disk"] | None = "ram"
    cache_gb: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse an unknown kind of cache, and numbers that are none."""
        whole_number("data.batch_size", self.batch_size)
        whole_number("data.num_workers", self.num_workers, least=0)
        if self.cache not in (None, "ram", "disk"):
            raise UserError(f"data.cache={self.cache} is unknown: give ram, disk or null.")

    def training(self, annotations: Annotations, sampler: EpochSampler) -> TrainLoader:
        """Shuffled, augmented batches."""
        dataset = TrainDataset(
            annotations,
            self._scaled(annotations),
            self.augmentation or Augmentation(),
            self.image_size,
            self.seed,
        )
        options = self._loader_options()
        loader = TrainLoader(dataset, batch_size=self.batch_size, sampler=sampler, **options)
        require_memory(self.num_workers, len(loader), self._batch_bytes())
        return loader

    def evaluation(self, annotations: Annotations, rank: int, world_size: int) -> DataLoader:
        """Letterboxed batches of similar aspect ratio, a rank's share."""
        batches = AspectRatioBatchSampler(
            annotations.sizes,
            self._eval_batch_size,
            self.image_size,
            rank,
            world_size,
            shape=self.eval_shape,
        )
        dataset = EvalDataset(annotations, None if self.eval_shape else self.image_size)
        require_memory(self.num_workers, len(batches), self._batch_bytes())
        return DataLoader(dataset, batch_sampler=batches, **self._loader_options())

    def _scaled(self, annotations: Annotations) -> ReadScaled:
        read = ScaledImages(annotations.images, annotations.sizes, self.image_size)
        limits = (self.image_size, self.cache_gb)
        if self.cache == "ram":
            spare = AHEAD * self.num_workers * self._batch_bytes()
            return RamCache(read, len(annotations), *limits, spare)
        if self.cache == "disk":
            return open_disk_cache(read, annotations, *limits, self.cache_dir)
        return read

    @property
    def _eval_batch_size(self) -> int:
        return self.eval_batch_size or 2 * self.batch_size

    def _batch_bytes(self) -> int:
        """Of the images of the largest batch."""
        area = self.image_size**2
        height, width = self.eval_shape or (self.image_size, self.image_size)
        return 3 * max(self.batch_size * area, self._eval_batch_size * height * width)

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "prefetch_factor": AHEAD if self.num_workers else None,
            "persistent_workers": self.num_workers > 0,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": single_threaded,
        }
