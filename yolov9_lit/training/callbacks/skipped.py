"""Tells of the images that workers could not use: they come with the batches to this process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch.distributed as dist
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.structures import Batch, SkippedImage

log = logging.getLogger(__name__)

STATE = "SkippedPictures"
"""The key of what a checkpoint keeps; images were pictures once."""


class SkippedImages(L.Callback):
    """At an epoch's end warns once of each fault's new images, or, strict, raises an error.

    Training draws other images in their place; evaluation's figures are those of the others.
    """

    def __init__(self, source: str, *, strict: bool = False) -> None:
        """Set what is told.

        Args:
            source: name of the data set.
            strict: make any such image an error, at the end of the epoch: it lists all.
        """
        self.source = source
        self.strict = strict
        self.by_split: dict[str, dict[int, SkippedImage]] = {"train": {}, "val": {}, "test": {}}
        self._told: set[SkippedImage] = set()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note."""
        self._note("train", batch)

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Note."""
        self._note("val", _batch(*args, **kwargs))

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Note."""
        self._note("test", _batch(*args, **kwargs))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell."""
        self._tell()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell, with those of the training epoch around it."""
        if not trainer.sanity_checking:
            self._tell()

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell."""
        self._tell()

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what was skipped and told, in plain tuples."""
        self._share()
        by_split = {s: [tuple(p) for p in found.values()] for s, found in self.by_split.items()}
        told = [tuple(image) for image in self._told]
        checkpoint[STATE] = {"by_split": by_split, "told": told}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with it in a resumed training; an evaluation counts its own."""
        if trainer.state.fn == TrainerFn.FITTING and (kept := checkpoint.get(STATE)):
            for split, found in kept["by_split"].items():
                self.by_split[split].update({p[0]: SkippedImage(*p) for p in found})
            self._told.update(SkippedImage(*p) for p in kept["told"])

    def _note(self, split: str, batch: Batch) -> None:
        self.by_split[split].update({skipped.image: skipped for skipped in batch.skipped})

    def _share(self) -> None:
        """A collective operation: every rank learns what the others skipped."""
        for others in _of_all_ranks(self.by_split):
            for split, images in others.items():
                self.by_split[split].update(images)

    def _tell(self) -> None:
        self._share()
        every = {image for split in self.by_split.values() for image in split.values()}
        faults = Faults(self.source)
        for image in sorted(every - self._told):
            faults.add(Fault.IMAGE_SKIPPED, image.name, detail=image.fault)
        self._told |= every
        faults.raise_or_warn(strict=self.strict)


@rank_zero_only
def log_used(split: str, used: Mapping[str, Any]) -> None:
    """Say at a run's end what data it used, as `DetectionDataModule.used` gives it."""
    words = {"train": "Trained on", "val": "Validated on", "test": "Tested on"}[split]
    faults = "; ".join(f"{count:,} {kind}" for kind, count in used["faults"].items())
    log.info(
        "%s %s images with %s boxes; %s",
        words,
        f"{used['pictures']:,}",
        f"{used['boxes']:,}",
        f"faults: {faults}" if faults else "no faults",
    )


def _batch(
    trainer: L.Trainer,
    pl_module: L.LightningModule,
    outputs: Any,
    batch: Batch,
    batch_idx: int,
    dataloader_idx: int = 0,
) -> Batch:
    return batch


def _of_all_ranks(value: Any) -> list[Any]:
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    gathered = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered
