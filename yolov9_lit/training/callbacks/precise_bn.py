"""Batch-norm statistics of the weights at hand, before each validation."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError
from yolov9_lit.kinds import PositiveInt
from yolov9_lit.training.batch_norm import estimate, trained_norms
from yolov9_lit.training.module import DetectionModule


class PreciseBatchNorm(L.Callback):
    """Estimates statistics anew on fixed training images; the training's weights stay the same.

    It stands behind the moving average, whose weights are evaluated and whose statistics it thus
    replaces: checkpoints of that epoch have them. Training itself uses each batch's own, so the
    trained weights do not notice. The images are read once, and kept as bytes of all pixels.
    """

    def __init__(self, images: PositiveInt = 200) -> None:
        """Set the number.

        Args:
            images: that the statistics are of, as many batches of the training's size as fit into
                it; all training images where there are fewer.
        """
        self.images = images
        self._batches: list[Tensor] = []
        self._norms: list[_BatchNorm] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DetectionModule)
        if not trainer.enable_validation:
            raise UserError(
                "callbacks.precise_bn estimates before each validation, and this training has "
                "none: validate, or leave it out."
            )
        if any(isinstance(later, WeightAveraging) for later in _behind(self, trainer)):
            raise UserError(
                "callbacks.precise_bn stands before callbacks.ema, and would estimate for weights "
                "that are not evaluated: name it behind."
            )
        self._norms = trained_norms(pl_module.detector)
        if not self._norms:
            raise UserError(
                "callbacks.precise_bn finds no batch normalisation that is trained: leave it out, "
                "or freeze fewer parts."
            )

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DetectionModule)
        batches = (images.to(pl_module.device) for images in self._read(trainer))
        # Without those that are frozen at first, in that time.
        norms = [n for n in self._norms if all(p.requires_grad for p in n.parameters())]
        with trainer.precision_plugin.val_step_context():
            estimate(pl_module.detector, norms, batches)

    def _read(self, trainer: L.Trainer) -> list[Tensor]:
        if not self._batches:
            datamodule = trainer.datamodule  # type: ignore[attr-defined]
            assert isinstance(datamodule, DetectionDataModule)
            self._batches = datamodule.fixed_training_images(self.images)
        return self._batches


def _behind(callback: L.Callback, trainer: L.Trainer) -> list[L.Callback]:
    """Return the callbacks that are called after one."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks[callbacks.index(callback) + 1 :]
