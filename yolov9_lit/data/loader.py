"""How the images of a data set become batches: the loaders of training and evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from yolov9_lit.checks import check_fields
from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.cache import ImageCache, ReadScaled, ScaledImages, free_memory
from yolov9_lit.data.dataset import EvalDataset, TrainDataset, collate
from yolov9_lit.data.extra import ExtraFields
from yolov9_lit.data.keypoint_settings import KeypointSettings
from yolov9_lit.data.samplers import EpochSampler, evaluation_batches, unscaled_batches
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError
from yolov9_lit.kinds import Count, InputSide, PositiveFloat, PositiveInt
from yolov9_lit.structures import MASK_STRIDE, Batch

if TYPE_CHECKING:
    from yolov9_lit.data.corruptions.corruption import Corruption

_LAYOUT = {
    "pictures": "number of images",
    "pictures a batch": "data.batch_size",
    "as seed of the data": "seed",
}
"""What the user calls a value that a checkpoint has under its name of old."""
_AHEAD = 2  # Batches that each worker makes ahead; torch's default.


class TrainLoader(DataLoader):
    """Batches of an `EpochSampler`; a checkpoint tells how many of the epoch have been given.

    It fetches nothing before the first batch is asked for: Lightning makes the iterator of a
    resumed run before it tells the sampler the epoch, and workers that began there would fetch
    another epoch's samples. The batches left out by a resumed run are not read either.
    """

    sampler: EpochSampler
    batch_size: int

    _given = 0
    _left_out = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches of one epoch, or what is left of it."""
        self._given, self._left_out = self._left_out, 0
        self.sampler.skip(self._given * self.batch_size)
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; Lightning asks the first rank, all are equally far."""
        return {"batches": self._given % len(self), **self._layout()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next epoch begin where the one of the checkpoint was.

        Raises:
            UserError: it was in mid-epoch, and of other data, batches or ranks.
        """
        self._left_out = state["batches"]
        for name, here in self._layout().items():
            before = state.get(name)
            if self._left_out and before != here:
                what = _LAYOUT.get(name, f"number of {name}")
                raise UserError(
                    f"The checkpoint was made in the middle of an epoch whose {what} was {before}, "
                    f"but it is {here} in this run: set it to {before}, "
                    "or give a checkpoint of the end of an epoch."
                )

    def _layout(self) -> dict[str, int]:
        return {**self.sampler.layout(), "pictures a batch": self.batch_size}


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
        cache: of training images scaled to `image_size`, shared by the workers of a device: in
            memory, on disk, or none.
        cache_gb: its limit.
        seed: of all randomness in the data.
        masks: whether batches have the masks of their objects, of the outlines that are known.
        keypoints: with them batches have the keypoints of their objects, as far as annotated.
        extra: fields of the annotations, which batches have as numbers of their objects.
    """

    cache_dir: Path
    image_size: InputSide = 640
    batch_size: PositiveInt = 16
    eval_batch_size: PositiveInt | None = None
    eval_shape: tuple[InputSide, InputSide] | None = None
    num_workers: Count = 4
    augmentation: Augmentation | None = None
    partner_pool: PositiveInt | None = 256
    cache: Literal["ram", "disk"] | None = "ram"
    cache_gb: PositiveFloat = 0.5
    seed: Count = 0
    masks: bool = False
    keypoints: KeypointSettings | None = None
    extra: ExtraFields | None = None

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_fields(self, "data.")

    def training(self, annotations: Annotations, sampler: EpochSampler) -> TrainLoader:
        """Return the loader of shuffled, augmented batches.

        Raises:
            UserError: there are to be masks or keypoints, and a transform loses them; or memory is
                short.
        """
        steps = self.augmentation.transforms if self.augmentation else ()
        lost = "masks" if self.masks else "keypoints" if self.keypoints else ""
        if lost and any(getattr(step, "spatial", False) for step in steps):
            raise UserError(
                f"An Albumentations transform of `augment` moves pixels, and {lost} are lost "
                "there: leave it out or use this project's own, or give task=detect."
            )
        dataset = TrainDataset(
            annotations,
            self._scaled(annotations),
            self.augmentation or Augmentation(),
            self.image_size,
            self.seed,
            self.masks,
            self.keypoints is not None,
        )
        options = self._loader_options()
        loader = TrainLoader(dataset, batch_size=self.batch_size, sampler=sampler, **options)
        self._require_memory(len(loader))
        return loader

    def evaluation(
        self,
        annotations: Annotations,
        rank: int,
        world_size: int,
        corruption: Corruption | None = None,
    ) -> DataLoader:
        """Return the loader of a rank's letterboxed batches of similar aspect ratio."""
        batches = evaluation_batches(
            annotations.sizes,
            self._eval_batch_size,
            self.image_size,
            rank,
            world_size,
            shape=self.eval_shape,
        )
        self._require_memory(len(batches))
        return DataLoader(
            self._evaluated(annotations, corruption),
            batch_sampler=batches,
            **self._loader_options(),
        )

    def unscaled(
        self,
        annotations: Annotations,
        rank: int,
        world_size: int,
        corruption: Corruption | None = None,
    ) -> DataLoader:
        """Return the loader of a rank's images in their own sizes, one a batch, without masks."""
        batches = unscaled_batches(annotations.sizes, rank, world_size)
        pixels = int(annotations.sizes.prod(axis=1).max())
        self._require_memory(len(batches), 3 * pixels)
        return DataLoader(
            EvalDataset(annotations, None, corruption=corruption),
            batch_sampler=batches,
            **self._loader_options(),
        )

    def fixed(self, annotations: Annotations, count: int) -> list[Batch]:
        """Return letterboxed batches of `batch_size` images that are the same at each call.

        They lie at equal distances among all, and are read here, without any random number. A last
        batch that would be smaller is left out, unless it is the only one.

        Args:
            annotations: of all images.
            count: most images.
        """
        chosen = np.linspace(0, len(annotations) - 1, min(count, len(annotations))).astype(int)
        sizes = annotations.sizes[chosen]
        keys = evaluation_batches(sizes, self.batch_size, self.image_size, shape=self.eval_shape)
        dataset = self._evaluated(annotations)
        return [
            collate([dataset[key._replace(image=int(chosen[key.image]))] for key in batch])
            for batch in keys[: max(len(chosen) // self.batch_size, 1)]
        ]

    def _evaluated(
        self, annotations: Annotations, corruption: Corruption | None = None
    ) -> EvalDataset:
        longest = None if self.eval_shape else self.image_size
        return EvalDataset(annotations, longest, self.masks, self.keypoints is not None, corruption)

    def _scaled(self, annotations: Annotations) -> ReadScaled:
        read = ScaledImages(annotations.images, annotations.sizes, self.image_size)
        if self.cache is None:
            return read
        return ImageCache(
            read,
            len(annotations),
            self.image_size,
            self.cache_gb,
            folder=self.cache_dir if self.cache == "disk" else None,
            spare=_AHEAD * self.num_workers * self._batch_bytes,
        )

    def _require_memory(self, batches: int, batch_bytes: int | None = None) -> None:
        """Refuse what would hang: workers that wait for shared memory to hand over batches.

        Raises:
            UserError: those of an epoch's `batches` that they have ready do not fit.
        """
        free = free_memory()
        needed = min(_AHEAD * self.num_workers, batches) * (batch_bytes or self._batch_bytes)
        if free is not None and free < needed:
            raise UserError(
                f"/dev/shm has {free / 1e6:,.0f} MB free, but {self.num_workers} workers hand over "
                f"up to {needed / 1e6:,.0f} MB of batches through it: give it more (in Docker "
                "--shm-size=8g), lower data.num_workers or a batch size, or give "
                "data.num_workers=0."
            )

    @property
    def _eval_batch_size(self) -> int:
        return self.eval_batch_size or 2 * self.batch_size

    @property
    def _batch_bytes(self) -> int:
        """Bytes of the images of the largest batch, and of their masks."""
        area = self.image_size**2
        height, width = self.eval_shape or (self.image_size, self.image_size)
        of_pixel = 3 + (2 / MASK_STRIDE**2 if self.masks else 0)
        pixels = max(self.batch_size * area, self._eval_batch_size * height * width)
        return math.ceil(of_pixel * pixels)

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "prefetch_factor": _AHEAD if self.num_workers else None,
            "persistent_workers": self.num_workers > 0,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": single_threaded,
        }


def single_threaded(worker: int) -> None:
    """Make OpenCV use one thread: workers have a core each, more threads would fight over it.

    Args:
        worker: its number, as `worker_init_fn` is given it.
    """
    cv2.setNumThreads(0)
