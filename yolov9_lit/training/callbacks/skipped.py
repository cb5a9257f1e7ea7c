"""Reports the images that could not be used: workers note them, batches bring them here."""

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
"""Key of the state in checkpoints: the callback's name in earlier versions."""


class SkippedImages(L.Callback):
    """Warns of skipped images at an epoch's end, of each once; in strict mode raises an error.

    Training draws other images in their place; evaluation measures without them.

    Attributes:
        by_split: the skipped images of "train", "val" and "test" by index.
    """

    def __init__(self, source: str, *, strict: bool = False) -> None:
        """Set what is reported.

        Args:
            source: name of the data set.
            strict: raise a `UserError` that lists all skipped images.
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
        self._note("train", batch)

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._note("val", args[3])  # after trainer, module and outputs

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._note("test", args[3])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._share()
        every = {image for split in self.by_split.values() for image in split.values()}
        faults = Faults(self.source)
        for image in sorted(every - self._told):
            faults.add(Fault.IMAGE_SKIPPED, image.name, detail=image.fault)
        self._told |= every
        faults.raise_or_warn(strict=self.strict)

    on_validation_epoch_end = on_test_epoch_end = on_train_epoch_end

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._share()
        by_split = {s: [tuple(p) for p in found.values()] for s, found in self.by_split.items()}
        checkpoint[STATE] = {"by_split": by_split, "told": [tuple(image) for image in self._told]}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # A resumed training continues its lists, an evaluation has its own.
        if trainer.state.fn == TrainerFn.FITTING and (kept := checkpoint.get(STATE)):
            for split, found in kept["by_split"].items():
                self.by_split[split].update({p[0]: SkippedImage(*p) for p in found})
            self._told.update(SkippedImage(*p) for p in kept["told"])

    def _note(self, split: str, batch: Batch) -> None:
        self.by_split[split].update({skipped.image: skipped for skipped in batch.skipped})

    def _share(self) -> None:
        """Tell every rank what the others skipped: a collective operation."""
        if dist.is_available() and dist.is_initialized():
            gathered: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(gathered, self.by_split)
            for split in self.by_split:
                for other in gathered:
                    self.by_split[split].update(other[split])


@rank_zero_only
def log_used(split: str, used: Mapping[str, Any]) -> None:
    """Log what data a finished run used, as `DetectionDataModule.used` returns it."""
    words = {"train": "Trained on", "val": "Validated on", "test": "Tested on"}[split]
    faults = "; ".join(f"{count:,} {kind}" for kind, count in used["faults"].items())
    log.info(
        "%s %s images with %s boxes; %s",
        words,
        f"{used['pictures']:,}",
        f"{used['boxes']:,}",
        f"faults: {faults}" if faults else "no faults",
    )
