"""The LightningDataModule of any data set in COCO format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.coco import read_coco
from yolov9_lit.data.dataset import EvalDataset, TrainDataset, collate
from yolov9_lit.data.disk_cache import open_disk_cache
from yolov9_lit.data.loader import TrainLoader
from yolov9_lit.data.pictures import read_picture
from yolov9_lit.data.ram_cache import RamCache
from yolov9_lit.data.samplers import AspectRatioBatchSampler, EpochSampler, TrainSampler
from yolov9_lit.data.scaled import ReadScaled, ScaledPictures
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.data.used import used_data
from yolov9_lit.errors import UserError
from yolov9_lit.structures import SkippedPicture

log = logging.getLogger(__name__)


class DetectionDataModule(L.LightningDataModule):
    """Pictures and annotations of training, validation and test in COCO format."""

    def __init__(
        self,
        root: str | Path,
        train_images: str,
        train_annotations: str,
        val_images: str,
        val_annotations: str,
        test_images: str | None = None,
        test_annotations: str | None = None,
        *,
        image_size: int = 640,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        eval_shape: tuple[int, int] | None = None,
        num_workers: int = 4,
        augmentation: Augmentation | None = None,
        close_mosaic_epochs: int = 15,
        strict: bool = False,
        partner_pool: int | None = 256,
        cache: Literal["ram", "disk"] | None = "ram",
        cache_gb: float = 0.5,
        cache_dir: str | Path | None = None,
        seed: int = 0,
        prepare: Callable[[Path], Path] | None = None,
        how_to_get: str = "",
    ) -> None:
        """Set the parts; nothing is read yet.

        Args:
            root: folder that the following paths start from.
            train_images: folder of the training pictures.
            train_annotations: their COCO-format file.
            val_images: folder of the validation pictures.
            val_annotations: their COCO-format file.
            test_images: folder of the test pictures; the validation's by default.
            test_annotations: their COCO-format file; the validation's by default.
            image_size: training pictures are squares of it, evaluation's longest sides are.
            batch_size: pictures of a training batch on one device.
            eval_batch_size: pictures of an evaluation batch; twice the training's by default.
            eval_shape: (height, width) of every evaluation input, filled as far as each picture
                can; by default each batch has the shape of its pictures.
            num_workers: processes that read and augment; 0 for none.
            augmentation: of training; letterbox alone by default.
            close_mosaic_epochs: last epochs without the transforms that close. A training not
                longer than that never closes them.
            strict: make faults in the data an error that lists them; otherwise what is faulty is
                left out or clipped, with a warning that counts it.
            partner_pool: number of training pictures that are mixed with each other; None for all.
            cache: of training pictures scaled to `image_size`: in memory shared by the workers, on
                disk, or none.
            cache_gb: its limit, of one device in memory.
            cache_dir: folder of the one on disk; `.cache` in `root` by default.
            seed: of all randomness in the data.
            prepare: given `root`, makes what is missing of the data and returns the folder that the
                paths start from: `root` or another.
            how_to_get: told to a user who has not got the data.
        """
        super().__init__()
        if cache not in (None, "ram", "disk"):
            raise UserError(f"data.cache={cache} is unknown: give ram, disk or null.")
        self.root = Path(root).expanduser()
        self.train_paths = (train_annotations, train_images)
        self.val_paths = (val_annotations, val_images)
        self.test_paths = (test_annotations or val_annotations, test_images or val_images)
        self.image_size = image_size
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or 2 * batch_size
        self.eval_shape = eval_shape
        self.num_workers = num_workers
        self.augmentation = augmentation or Augmentation()
        self.close_mosaic_epochs = close_mosaic_epochs
        self.strict = strict
        self.partner_pool = partner_pool
        self.cache = cache
        self.cache_gb = cache_gb
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else self.root / ".cache"
        self.seed = seed
        self.prepare = prepare
        self.how_to_get = how_to_get
        self._folder: Path | None = None
        self._splits: dict[str, Annotations] = {}

    @property
    def folder(self) -> Path:
        """What the paths start from: the root, or what `prepare` made of it."""
        return self._folder or self.root

    @property
    def val_annotation_file(self) -> Path:
        """Ground truth of validation."""
        return self.folder / self.val_paths[0]

    @property
    def test_annotation_file(self) -> Path:
        """Ground truth of the test."""
        return self.folder / self.test_paths[0]

    @property
    def categories(self) -> tuple[Category, ...]:
        """Classes by index; known after `setup`."""
        return next(iter(self._splits.values())).categories

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class index; known after `setup`."""
        return tuple(category.name for category in self.categories)

    @property
    def num_classes(self) -> int:
        """Number of classes; known after `setup`."""
        return len(self.categories)

    def prepare_data(self) -> None:
        """Make the data where that is what this data set does, once."""
        if self._folder is None:
            self._folder = self.prepare(self.root) if self.prepare else self.root

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations that a stage ("fit", "validate", "test") needs, once.

        Raises:
            UserError: a file or folder is missing or broken, or the splits' classes differ.
        """
        self.prepare_data()  # Lightning does it in one process of each machine only.
        wanted = {
            "fit": ("train", "val"),
            "validate": ("val",),
            "test": ("test",),
        }.get(stage or "", ("train", "val", "test"))
        for split in wanted:
            if split not in self._splits:
                self._splits[split] = self._read(split)
        if len({annotations.categories for annotations in self._splits.values()}) > 1:
            raise UserError(
                f"The annotation files of {self.root} list different categories: "
                "give all splits the same ones."
            )

    def test_picture(self, image_id: int) -> np.ndarray:
        """A picture of the test as it is in its file: (H, W, 3) uint8 RGB.

        Raises:
            UnreadablePicture: it cannot be read.
        """
        annotations = self._splits["test"]
        index = int(np.flatnonzero(annotations.image_ids == image_id)[0])
        return read_picture(annotations.pictures, index)

    def _read(self, split: str) -> Annotations:
        if split == "test" and self.test_paths == self.val_paths and "val" in self._splits:
            return self._splits["val"]
        annotations = self._open(split)
        log.info(
            "%s: %d pictures with %d boxes of %d classes in %s",
            split,
            len(annotations),
            int((~annotations.crowd).sum()),
            annotations.num_classes,
            annotations.path,
        )
        return annotations

    def _open(self, split: str) -> Annotations:
        if not self.root.is_dir():
            hint = self.how_to_get or "give data.root=DIR."
            raise UserError(f"There is no data folder {self.root}: {hint}")
        annotation_file, images = self._paths(split)
        return read_coco(self.folder / annotation_file, self.folder / images, strict=self.strict)

    def _paths(self, split: str) -> tuple[str, str]:
        """Annotation file and folder of pictures, from the folder on."""
        paths = {"train": self.train_paths, "val": self.val_paths, "test": self.test_paths}
        return paths[split]

    def used(self, skipped: Mapping[str, Mapping[int, SkippedPicture]]) -> dict[str, Any]:
        """What a run's record tells of its data.

        Args:
            skipped: by split and index, the pictures that could not be used.

        Returns:
            For each split that was read the numbers of "pictures" and "boxes" (crowds not counted)
            that were used, and under "faults" how many of each kind were not, or were mended.
        """
        return {
            split: used_data(annotations, skipped.get(split, {}))
            for split, annotations in self._splits.items()
        }

    def train_dataloader(self) -> DataLoader:
        """Shuffled, augmented batches."""
        annotations = self._splits["train"]
        dataset = TrainDataset(
            annotations,
            self._scaled(annotations),
            self.augmentation,
            self.image_size,
            self.seed,
        )
        return TrainLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=self._train_sampler(annotations),
            **self._loader_options(),
        )

    def _train_sampler(self, annotations: Annotations) -> EpochSampler:
        return TrainSampler(
            len(annotations),
            self.seed,
            self._closing_from_epoch(),
            *self._rank_and_world(),
            self.partner_pool,
        )

    def _scaled(self, annotations: Annotations) -> ReadScaled:
        read = ScaledPictures(annotations.pictures, annotations.sizes, self.image_size)
        limits = (self.image_size, self.cache_gb)
        if self.cache == "ram":
            return RamCache(read, len(annotations), *limits)
        if self.cache == "disk":
            return open_disk_cache(read, annotations, *limits, self.cache_dir)
        return read

    def val_dataloader(self) -> DataLoader:
        """Letterboxed batches of similar aspect ratio."""
        return self._eval_dataloader("val")

    def test_dataloader(self) -> DataLoader:
        """Letterboxed batches of similar aspect ratio."""
        return self._eval_dataloader("test")

    def _eval_dataloader(self, split: str) -> DataLoader:
        annotations = self._splits[split]
        batches = AspectRatioBatchSampler(
            annotations.sizes,
            self.eval_batch_size,
            self.image_size,
            *self._rank_and_world(),
            shape=self.eval_shape,
        )
        dataset = EvalDataset(annotations, None if self.eval_shape else self.image_size)
        return DataLoader(dataset, batch_sampler=batches, **self._loader_options())

    def _closing_from_epoch(self) -> int | None:
        epochs = self.trainer.max_epochs if self.trainer else None
        if not self.close_mosaic_epochs or not epochs or epochs <= self.close_mosaic_epochs:
            return None
        return epochs - self.close_mosaic_epochs

    def _rank_and_world(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": _single_threaded,
        }


def _single_threaded(worker: int) -> None:
    """Each worker has one core; OpenCV's own threads would fight over them."""
    cv2.setNumThreads(0)
