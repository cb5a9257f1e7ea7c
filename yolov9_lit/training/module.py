"""The LightningModule that trains: a detector, its loss and the recipe's optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.losses.detection import DetectionLoss, DetectionLossOutput
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Batch
from yolov9_lit.training.evaluation import EvaluationModule
from yolov9_lit.training.optimizers import BIAS_GROUP, OptimizerRecipe
from yolov9_lit.training.schedules import WarmupDecay


class DetectionModule(EvaluationModule):
    """Trains a detector with any number of auxiliary branches and evaluates its main branch."""

    def __init__(
        self,
        detector: Detector,
        loss: DetectionLoss,
        optimizer: OptimizerRecipe,
        schedule: WarmupDecay,
        batch_size: int,
        nms: NMSSettings,
        val_metric: CocoMetric,
        test_metric: CocoMetric,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        """Join the parts.

        Args:
            detector: the network.
            loss: of all its branches.
            optimizer: recipe of the optimiser.
            schedule: learning rate, momentum and accumulation by batch.
            batch_size: images of a batch on one device.
            nms: of the evaluation.
            val_metric: measures validation.
            test_metric: measures the test.
            card: what a checkpoint tells of itself, to be built again; see `interop.card`.
        """
        super().__init__(detector, nms, test_metric)
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.batch_size = batch_size
        self.val_metric = val_metric
        self.card = dict(card or {})

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of all branches, as the sum over the images that an optimiser step sees."""
        output = self.loss(self(batch.images), batch.targets)
        self._log_losses("train", output, len(batch.images))
        # Lightning divides by the accumulated batches and DDP by the devices; the recipe sums.
        return output.total * (self.trainer.accumulate_grad_batches * self.trainer.world_size)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses of all branches and the main branch's detections."""
        prediction = self(batch.images)
        self._log_losses("val", self.loss(prediction, batch.targets), len(batch.images))
        detections = self.detect(prediction, batch)
        self.val_metric.update(detections, [info.image_id for info in batch.infos])

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.val_metric.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the COCO figures."""
        self.log_figures("val", self.val_metric)

    def _log_losses(self, stage: str, output: DetectionLossOutput, images: int) -> None:
        """Log each branch's terms apart, averaged over the epoch."""
        branches = dict(zip(self.detector.aux_branches, output.aux, strict=True))
        losses = {"loss": output.items.total}
        for branch, items in {"main": output.main, **branches}.items():
            losses |= {f"{branch}/{term}": value for term, value in items._asdict().items()}
        in_training = stage == "train"
        self.log_dict(
            {f"{stage}/{name}": value.detach() for name, value in losses.items()},
            on_step=False,
            on_epoch=True,
            batch_size=images,
            sync_dist=not in_training,
        )
        if in_training:
            terms = {term: value.detach() for term, value in output.main._asdict().items()}
            self.log_dict(terms, on_step=True, on_epoch=False, prog_bar=True, logger=False)

    def configure_optimizers(self) -> Optimizer:
        """Build the optimiser, its weight decay scaled by the batch that an update sees."""
        total = self.batch_size * self.trainer.world_size
        seen = total * self.schedule.accumulation(total)
        return self.optimizer.build(self.detector, seen / self.schedule.nominal_batch)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Apply the schedule."""
        trainer = self.trainer
        setting = self.schedule.at(
            batch_idx,
            trainer.current_epoch,
            batches=int(trainer.num_training_batches),
            epochs=trainer.max_epochs or 1,
            batch_size=self.batch_size * trainer.world_size,
        )
        self._set_accumulation(batch_idx, setting.accumulate)
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * setting.lr_factor
            if group["name"] == BIAS_GROUP:
                group["lr"] += setting.bias_lr_offset
            if "momentum" in group:
                group["momentum"] = setting.momentum
        self.log("lr", optimizer.param_groups[-1]["lr"], prog_bar=True, on_step=True)

    def _set_accumulation(self, batch_idx: int, accumulate: int) -> None:
        """Change the accumulation only where no gradient is pending.

        Lightning clears and applies gradients at multiples of the accumulation within an epoch: a
        change elsewhere would apply some of them twice.
        """
        current = self.trainer.accumulate_grad_batches
        if batch_idx % current == 0 and batch_idx % accumulate == 0:
            self.trainer.accumulate_grad_batches = accumulate

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; a step that the end of an epoch forces early counts by the batches it has.

        The recipe's sums are nearly always clipped, so that without this one left-over batch would
        move the weights as far as a full accumulation.
        """
        if gradient_clip_val is not None:
            loop, accumulate = (
                self.trainer.fit_loop.epoch_loop,
                self.trainer.accumulate_grad_batches,
            )
            gradient_clip_val *= (loop.batch_idx % accumulate + 1) / accumulate
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the card beside the weights."""
        checkpoint["card"] = self.card
