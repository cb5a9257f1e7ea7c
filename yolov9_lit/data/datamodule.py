"""The LightningDataModule of any data set in COCO format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import torch
from torch.utils.data import DataLoader

from yolov9_lit.data.coco import Category, CocoAnnotations, read_coco
from yolov9_lit.data.dataset import EvalDataset, TrainDataset, collate
from yolov9_lit.data.samplers import AspectRatioBatchSampler, TrainSampler
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError
from yolov9_lit.structures import Batch

log = logging.getLogger(__name__)


class LateDataLoader(DataLoader):
    """Fetches nothing before the first batch is asked for.

    Lightning makes the iterator of a resumed run before it tells the sampler the epoch; workers
    that began there would fetch another epoch's samples.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Give the batches of one epoch."""
        yield from super().__iter__()


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
        seed: int = 0,
        prepare: Callable[[Path], Any] | None = None,
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
            seed: of all randomness in the data.
            prepare: makes the data in `root` where it is not there yet.
            how_to_get: told to a user who has not got the data.
        """
        super().__init__()
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
        self.seed = seed
        self.prepare = prepare
        self.how_to_get = how_to_get
        self._splits: dict[str, CocoAnnotations] = {}

    @property
    def val_annotation_file(self) -> Path:
        """Ground truth of validation."""
        return self.root / self.val_paths[0]

    @property
    def test_annotation_file(self) -> Path:
        """Ground truth of the test."""
        return self.root / self.test_paths[0]

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
        """Make the data where that is what this data set does."""
        if self.prepare is not None:
            self.prepare(self.root)

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations that a stage ("fit", "validate", "test") needs, once.

        Raises:
            UserError: a file or folder is missing or broken, or the splits' classes differ.
        """
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

    def _read(self, split: str) -> CocoAnnotations:
        annotation_file, images = {
            "train": self.train_paths,
            "val": self.val_paths,
            "test": self.test_paths,
        }[split]
        if not self.root.is_dir():
            hint = self.how_to_get or "give data.root=DIR."
            raise UserError(f"There is no data folder {self.root}: {hint}")
        annotations = read_coco(self.root / annotation_file, self.root / images)
        log.info(
            "%s: %d pictures with %d boxes of %d classes in %s",
            split,
            len(annotations),
            int((~annotations.crowd).sum()),
            annotations.num_classes,
            self.root / images,
        )
        return annotations

    def train_dataloader(self) -> DataLoader:
        """Shuffled, augmented batches."""
        annotations = self._splits["train"]
        sampler = TrainSampler(
            len(annotations), self.seed, self._closing_from_epoch(), *self._rank_and_world()
        )
        dataset = TrainDataset(annotations, self.augmentation, self.image_size, self.seed)
        return LateDataLoader(
            dataset, batch_size=self.batch_size, sampler=sampler, **self._loader_options()
        )

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
