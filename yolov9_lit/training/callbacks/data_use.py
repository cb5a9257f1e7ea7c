"""Counts what of the data is used, and reports images that cannot be: batches bring both here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.use import EpochBoxes, Use, tell_lacks
from yolov9_lit.errors import counted, told
from yolov9_lit.ranks import is_first_rank
from yolov9_lit.structures import Batch, SkippedImage

log = logging.getLogger(__name__)

STATE = "SkippedPictures"
"""Key of the state in checkpoints: the callback's name in earlier versions."""


NOTHING = {
    "train": "Nothing was trained: see trainer.max_epochs and trainer.limit_train_batches.",
    "val": "Nothing was validated, so nothing chose the best checkpoint: see "
    "trainer.limit_val_batches and trainer.check_val_every_n_epoch.",
    "test": "Nothing was tested, so there are no figures: see trainer.limit_test_batches.",
}
"""What is told of a split of which no image was used."""


class DataUse(L.Callback):
    """Counts what is used of the data, and warns of skipped images at an epoch's end.

    Training draws other images in the place of skipped ones; evaluation measures without them. In
    strict mode they are an error, and so is an augmentation that loses most boxes or masks.

    Attributes:
        by_split: what was used of "train", "val" and "test".
    """

    def __init__(self, source: str, *, strict: bool = False) -> None:
        """Set what is reported.

        Args:
            source: name of the data set.
            strict: raise a `UserError` that lists all skipped images.
        """
        self.source = source
        self.strict = strict
        self.by_split = {"train": Use(), "val": Use(), "test": Use()}
        self._told: set[SkippedImage] = set()
        self._drawn = 0
        self._trained: Tensor | int = 0  # on the device: reading it would make the host wait
        self._masked: Tensor | int | None = None  # likewise; None where no masks are learnt

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self._note("train", batch)
        if trainer.current_epoch == 0:
            self._drawn += sum(info.drawn for info in batch.infos)
            self._trained = self._trained + batch.targets.valid.sum()
            if batch.targets.masks is not None:
                before = 0 if self._masked is None else self._masked
                self._masked = before + _masked(batch.targets.masks, batch.targets.valid.shape[1])

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if not trainer.sanity_checking:
            self._note("val", args[2])  # after module and outputs

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._note("test", args[3])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._tell_skipped(trainer)
        if trainer.current_epoch == 0:
            tell_lacks(self.source, self.by_split["train"].lacks(), strict=self.strict)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._tell_skipped(trainer)

    on_test_epoch_end = on_validation_epoch_end

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._share(trainer)
        checkpoint[STATE] = {
            "by_split": {s: [*map(tuple, u.skipped.values())] for s, u in self.by_split.items()},
            "told": [tuple(image) for image in self._told],
            "images": {s: _packed(use.images) for s, use in self.by_split.items()},
            "boxes": {rank: tuple(n) for rank, n in self.by_split["train"].boxes.items()},
        }

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # A resumed training continues its lists, an evaluation has its own.
        if trainer.state.fn != TrainerFn.FITTING or not (kept := checkpoint.get(STATE)):
            return
        for split, found in kept["by_split"].items():
            self.by_split[split].note((), [SkippedImage(*values) for values in found])
        self._told.update(SkippedImage(*values) for values in kept["told"])
        for split, bits in kept.get("images", {}).items():  # absent from older checkpoints
            self.by_split[split].join(Use(_unpacked(bits)))
        boxes = {rank: EpochBoxes(*numbers) for rank, numbers in kept.get("boxes", {}).items()}
        self.by_split["train"].join(Use(boxes=boxes))
        own = boxes.get(trainer.global_rank, EpochBoxes(0, 0))
        self._drawn, self._trained, self._masked = own

    def _note(self, split: str, batch: Batch) -> None:
        self.by_split[split].note([info.position for info in batch.infos], batch.skipped)

    def _tell_skipped(self, trainer: L.Trainer) -> None:
        self._share(trainer)
        every = {image for use in self.by_split.values() for image in use.skipped.values()}
        faults = Faults(self.source)
        for image in sorted(every - self._told):
            faults.add(Fault.IMAGE_SKIPPED, image.name, detail=image.fault)
        self._told |= every
        faults.raise_or_warn(strict=self.strict)

    def _share(self, trainer: L.Trainer) -> None:
        """Tell every rank what the others have used: a collective operation."""
        if self._drawn:
            masked = None if self._masked is None else int(self._masked)
            own = EpochBoxes(self._drawn, int(self._trained), masked)
            self.by_split["train"].join(Use(boxes={trainer.global_rank: own}))
        if dist.is_available() and dist.is_initialized():
            gathered: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(gathered, self.by_split)
            for split, use in self.by_split.items():
                for other in gathered:
                    use.join(other[split])


def _masked(masks: Tensor, most: int) -> Tensor:
    """Count the objects that have a mask, see `Targets.masks`; an image has that many at most."""
    numbers = masks.flatten(1).long()
    return numbers.new_zeros(len(numbers), most + 1).scatter_(1, numbers, 1)[:, 1:].sum()


def _packed(mask: np.ndarray) -> Tensor:
    """Return a mask as bits in bytes, what a checkpoint can be read with safely."""
    return torch.from_numpy(np.packbits(mask))


def _unpacked(bits: Tensor) -> np.ndarray:
    return np.unpackbits(bits.cpu().numpy()).astype(bool)


def log_used(
    datamodule: DetectionDataModule, by_split: Mapping[str, Use]
) -> dict[str, dict[str, Any]]:
    """Log what a finished run used, and what its data lacks.

    Returns:
        What the run's record tells, by split; see `Use.of`.
    """
    data = datamodule.used(by_split)
    for split, used in data.items():
        if is_first_rank():
            log.info(_sentence(split, used))
            if not used["pictures"]:
                log.warning(NOTHING[split])
    tell_lacks(str(datamodule.root), [*datamodule.lacks, *by_split["train"].lacks()])
    return data


def _sentence(split: str, used: Mapping[str, Any]) -> str:
    words = {"train": "Trained on", "val": "Validated on", "test": "Tested on"}[split]
    boxes = counted(used["boxes"], "box")
    if "boxes_drawn" in used:
        boxes += (
            f" (first epoch: {used['boxes_drawn']:,} before augmentation, "
            f"{used['boxes_trained']:,} after)"
        )
    faults = "; ".join(told(count, kind) for kind, count in used["faults"].items())
    end = f"faults: {faults}" if faults else "no faults"
    return f"{words} {counted(used['pictures'], 'image')} with {boxes}; {end}"
