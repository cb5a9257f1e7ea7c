"""The LightningModule that trains: a detector, its loss and the recipe's optimiser.

Optimisation is manual: the recipe counts accumulated batches across epochs, where Lightning's own
accumulation forces an update at each epoch's end. On small data those would
be a large share of all updates.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from yolov9_lit.evaluation.metric import DetectionMetric
from yolov9_lit.evaluation.nms import NMSSettings, suppressed
from yolov9_lit.inference.images import unit_range
from yolov9_lit.losses.detection import DetectionLoss, DetectionLossOutput
from yolov9_lit.models.cost import DetectorCost, detector_cost
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Batch, Detections, Prediction, Targets
from yolov9_lit.training.aux_schedule import AuxiliarySchedule
from yolov9_lit.training.continuing import OPTIMIZER, require_same_training
from yolov9_lit.training.divergence import Divergence, require_finite
from yolov9_lit.training.evaluation import EvaluationModule, Measured
from yolov9_lit.training.freezing import FrozenAtFirst
from yolov9_lit.training.multi_scale import MultiScale
from yolov9_lit.training.optimizers import OptimizerRecipe
from yolov9_lit.training.schedules import WarmupDecay

log = logging.getLogger(__name__)


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
        val_metric: DetectionMetric,
        test_metric: DetectionMetric,
        card: Mapping[str, Any] | None = None,
        aux_schedule: AuxiliarySchedule | None = None,
        multi_scale: MultiScale | None = None,
        frozen_at_first: FrozenAtFirst | None = None,
    ) -> None:
        """Join the parts.

        Args:
            batch_size: images of a batch on one device.
            card: stored in checkpoints so that the detector can be rebuilt; see `weights.card`.
            aux_schedule: how much the auxiliary branches count in each epoch; in all the same by
                default.
            multi_scale: sizes of the training's batches; their own by default.
            frozen_at_first: parts that are not trained from the start; none by default.
        """
        super().__init__(nms, test_metric)
        self.automatic_optimization = False
        self.detector = detector
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.aux_schedule = aux_schedule or AuxiliarySchedule()
        self.multi_scale = multi_scale
        self.frozen_at_first = frozen_at_first
        self.batch_size = batch_size
        self.val_metric = val_metric
        self.card = dict(card or {})
        self.divergence = Divergence()
        self._val_total = torch.zeros(())
        self.updated = False  # whether the latest batch ended with an update of the weights
        self._last_update = -1

    @cached_property
    def cost(self) -> DetectorCost:
        """Parameters and GFLOPs of the detector at the paper's image size."""
        in_channels = next(self.detector.parameters()).shape[1]
        return detector_cost(self.detector, in_channels=in_channels)

    @property
    def finds_masks(self) -> bool:
        return self.detector.finds_masks

    @property
    def num_keypoints(self) -> int:
        return self.detector.head.num_keypoints

    def forward(self, images: Tensor) -> Prediction:
        """Return the branches' raw outputs for images (B, C, H, W), uint8 0..255 or float 0..1.

        Auxiliary branches that do not count at present are not computed.
        """
        return self.detector(unit_range(images), auxiliary=self.loss.aux_active)

    def detect(self, images: Tensor) -> list[Detections]:
        """Return the main branch's detections, one entry an image, in input pixels."""
        return self._suppressed(self(images))

    def compared(self, images: Tensor, targets: Targets) -> tuple[Prediction, DetectionLossOutput]:
        """Return what a training step starts with: the raw outputs for images, and their losses."""
        prediction = self(images)
        return prediction, self.loss(prediction, targets)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Accumulate the gradient of all branches' losses, and update the weights when it is due.

        Returns:
            For callbacks: "loss", the total, and "losses", each branch's terms by logged name.
        """
        if self.multi_scale is not None:
            batch = self.multi_scale.resized(batch, self.trainer.current_epoch, batch_idx)
        _, output = self.compared(batch.images, batch.targets)
        self.divergence.note(output.total.detach(), batch_idx)
        self.log_dict(output.main._asdict(), prog_bar=True, logger=False)
        # The recipe sums over the images of an update, DDP averages over the devices.
        self.manual_backward(output.total * self.trainer.world_size)
        position = self.position(batch_idx)
        self.updated = position - self._last_update >= self._setting.accumulate
        if self.updated:
            optimizer = self.optimizers()
            assert isinstance(optimizer, LightningOptimizer)
            optimizer.step()
            optimizer.zero_grad()
            self._last_update = position
        return {"loss": output.total.detach(), "losses": self._named("train", output)}

    def validation_step(self, batch: Batch, batch_idx: int) -> Measured:
        """Log the losses of all branches, detect and measure."""
        if not batch.infos:  # None of its images could be read.
            return Measured(detections=[], masks=None)
        # Not by `compared`: where that is compiled, evaluation's other shapes would take minutes.
        prediction = self(batch.images)
        output = self.loss(prediction, batch.targets)
        self._val_total = self._val_total + output.total.detach()
        losses = self._named("val", output)
        self.log_dict(losses, batch_size=len(batch.images), sync_dist=True)
        return self.measure(self.val_metric, self._suppressed(prediction), batch)

    def on_validation_epoch_start(self) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.divergence.require_finite_weights(self.parameters(), self.trainer)
        self.begin(self.val_metric)
        self._val_total = torch.zeros((), device=self.device)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING:
            require_finite((self._val_total,), "the loss in the validation", self.trainer)
        self.log_figures("val", self.val_metric)

    def configure_optimizers(self) -> Optimizer:
        """Build the optimiser, its weight decay scaled by the images that an update sees."""
        total = self.batch_size * self.trainer.world_size
        seen = total * self.schedule.accumulation(total)
        optimizer = self.optimizer.build(self.detector, seen / self.schedule.nominal_batch)
        self._configured = [
            {name: value for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ]
        return optimizer

    def on_train_start(self) -> None:
        # What the config says of the optimiser holds, also of a training that is continued.
        groups = self.trainer.optimizers[0].param_groups
        for group, configured in zip(groups, self._configured, strict=True):
            group.update(configured)
        # A run that stopped early and was killed before its test is not trained any further.
        if any(callback.stopped_epoch for callback in self.trainer.early_stopping_callbacks):
            log.warning("The training stopped early and is not continued: leave early stopping out")
            self.trainer.should_stop = True
        epochs = self.trainer.max_epochs or 0
        taught = any(self.aux_schedule.at(epoch, epochs) for epoch in range(epochs))
        if epochs and self.detector.aux_branches and not taught:
            log.warning(
                "The auxiliary branches teach in none of %d epochs: that is the training of "
                "pgi=none, but for other aux_schedule.start and aux_schedule.end",
                epochs,
            )

    def on_train_epoch_start(self) -> None:
        # As published, the gradient left over from the epoch before is dropped.
        self.trainer.optimizers[0].zero_grad()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self.divergence.require_finite_loss(self.trainer)
        self._setting = self.schedule.at(
            batch_idx,
            self.trainer.current_epoch,
            batches=int(self.trainer.num_training_batches),
            epochs=self.trainer.max_epochs or 1,
            batch_size=self.batch_size * self.trainer.world_size,
        )
        epoch = (self.trainer.current_epoch, self.trainer.max_epochs or 1)
        self.loss.weigh_auxiliary(self.aux_schedule.at(*epoch))
        self.detector.aux_detached = self.aux_schedule.detached(*epoch)
        rate = self._setting.apply(self.trainer.optimizers[0])
        if self.frozen_at_first is not None:
            released = self.frozen_at_first.follow(self.detector, epoch[0])
            if released:
                log.info(
                    "Trained from epoch %d of %d on: %s (lr %.2g)",
                    epoch[0] + 1,
                    epoch[1],
                    released,
                    rate,
                )
        self.log("lr", rate, prog_bar=True, logger=False)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.clip_gradients(optimizer, self.optimizer.clip_norm, "norm")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        states = (checkpoint["state_dict"], checkpoint.get("current_model_state", {}))
        weights = (value for state in states for value in state.values())
        self.divergence.require_finite_weights(weights, self.trainer)
        checkpoint["card"] = self.card
        checkpoint["figures"] = self.figures
        checkpoint["batch_size"] = self.batch_size
        checkpoint["last_update"] = self._last_update
        checkpoint[OPTIMIZER] = type(self.trainer.optimizers[0]).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING:
            require_same_training(
                checkpoint,
                str(self.trainer.ckpt_path),
                weights=self.state_dict(),
                card=self.card,
                optimizer=self.optimizer.build(self.detector),
            )
        self._last_update = checkpoint["last_update"]
        self.figures = checkpoint.get("figures", {})  # absent from the oldest checkpoints

    def position(self, batch_idx: int) -> int:
        """Return how many batches came before this one since the training began."""
        return self.trainer.current_epoch * int(self.trainer.num_training_batches) + batch_idx

    def _suppressed(self, prediction: Prediction) -> list[Detections]:
        return suppressed(self.detector.candidates(prediction.main), self.nms)

    def _named(self, stage: str, output: DetectionLossOutput) -> dict[str, Tensor]:
        """Return each branch's loss terms by the name they are logged as, detached.

        In the training also how much each auxiliary branch counts; one that is off has no terms.
        """
        losses = {f"{stage}/loss": output.mean}
        names = ("main", *self.detector.aux_branches)
        branches = list(zip(names, (output.main, *output.aux), strict=False))
        if output.distillation is not None:
            branches.append(("main", output.distillation))
        for branch, items in branches:
            losses |= {f"{stage}/{branch}/{term}": v for term, v in items._asdict().items()}
        if stage == "train":
            weights = self.loss.weights(len(self.detector.aux_branches))
            for branch, weight in zip(names[1:], weights[1:], strict=True):
                losses[f"{stage}/{branch}/weight"] = torch.as_tensor(weight)
        return {name: value.detach() for name, value in losses.items()}
