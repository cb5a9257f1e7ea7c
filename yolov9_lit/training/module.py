"""The LightningModule that trains: a detector, its loss and the recipe's optimiser.

Optimisation is manual: the recipe counts accumulated batches through the ends of epochs, where
Lightning's own accumulation would force a step. On small data such steps are a good part of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression
from yolov9_lit.inference.predictor import unit_range
from yolov9_lit.losses.detection import DetectionLoss, DetectionLossOutput
from yolov9_lit.models.cost import DetectorCost, detector_cost
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Batch, Detections, Prediction
from yolov9_lit.training.evaluation import EvaluationModule, restored
from yolov9_lit.training.means import EpochMeans
from yolov9_lit.training.optimizers import BIAS_GROUP, OptimizerRecipe
from yolov9_lit.training.schedules import Setting, WarmupDecay


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
            card: what a checkpoint tells of itself, to be built again; see `weights.card`.
        """
        super().__init__(nms, test_metric)
        self.detector = detector
        self.automatic_optimization = False
        self._last_update = -1
        self.train_means = EpochMeans()
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.batch_size = batch_size
        self.val_metric = val_metric
        self.card = dict(card or {})

    @cached_property
    def cost(self) -> DetectorCost:
        """Parameters and GFLOPs of the detector at the paper's image size."""
        in_channels = next(self.detector.parameters()).shape[1]
        return detector_cost(self.detector, in_channels=in_channels)

    def forward(self, images: Tensor) -> Prediction:
        """Raw outputs of all branches for uint8 (0..255) or float (0..1) images (B, C, H, W)."""
        return self.detector(unit_range(images))

    def detect(self, images: Tensor) -> list[Detections]:
        """Detections of the main branch, one an image, in input pixels."""
        return self._suppressed(self(images))

    def _suppressed(self, prediction: Prediction) -> list[Detections]:
        return non_max_suppression(*self.detector.decode(prediction.main), self.nms)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Accumulate the gradient of all branches' loss, and update the weights when it is time."""
        output = self.loss(self(batch.images), batch.targets)
        self.train_means.update(self._named("train", output), len(batch.images))
        terms = {term: value.detach() for term, value in output.main._asdict().items()}
        self.log_dict(terms, on_step=True, on_epoch=False, prog_bar=True, logger=False)
        # The recipe sums over the images of an update, DDP averages over the devices.
        self.manual_backward(output.total * self.trainer.world_size)
        position = self._position(batch_idx)
        if position - self._last_update >= self._setting(batch_idx).accumulate:
            optimizer = self.optimizers()
            assert isinstance(optimizer, LightningOptimizer)
            optimizer.step()
            optimizer.zero_grad()
            self._last_update = position
        return output.total.detach()

    def updated_at(self, batch_idx: int) -> bool:
        """Whether that batch, the present one, ended with an update of the weights."""
        return self._last_update == self._position(batch_idx)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the accumulated gradient."""
        self.clip_gradients(optimizer, self.optimizer.clip_norm, "norm")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses of all branches and the main branch's detections."""
        if not batch.infos:  # None of its images could be read.
            return
        prediction = self(batch.images)
        losses = self._named("val", self.loss(prediction, batch.targets))
        self.log_dict(
            losses, on_step=False, on_epoch=True, batch_size=len(batch.images), sync_dist=True
        )
        detections = restored(self._suppressed(prediction), batch)
        self.val_metric.update(detections, [info.image_id for info in batch.infos])

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.val_metric.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the COCO figures."""
        self.log_figures("val", self.val_metric)

    def _named(self, stage: str, output: DetectionLossOutput) -> dict[str, Tensor]:
        """Each branch's terms apart, by what they are logged as."""
        branches = dict(zip(self.detector.aux_branches, output.aux, strict=True))
        losses = {f"{stage}/loss": output.items.total}
        for branch, items in {"main": output.main, **branches}.items():
            losses |= {f"{stage}/{branch}/{term}": v for term, v in items._asdict().items()}
        return {name: value.detach() for name, value in losses.items()}

    def configure_optimizers(self) -> Optimizer:
        """Build the optimiser, its weight decay scaled by the batch that an update sees."""
        total = self.batch_size * self.trainer.world_size
        seen = total * self.schedule.accumulation(total)
        return self.optimizer.build(self.detector, seen / self.schedule.nominal_batch)

    def on_train_start(self) -> None:
        """End a training again that had been ended early and was killed before its test."""
        if any(callback.stopped_epoch for callback in self.trainer.early_stopping_callbacks):
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        """Drop what is left of the epoch before, as published; a resumed run has nothing else."""
        self._raw_optimizer().zero_grad()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Apply the schedule."""
        setting = self._setting(batch_idx)
        optimizer = self._raw_optimizer()
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * setting.lr_factor
            if group["name"] == BIAS_GROUP:
                group["lr"] += setting.bias_lr_offset
            if "momentum" in group:
                group["momentum"] = setting.momentum
        rate = optimizer.param_groups[-1]["lr"]
        self.log("lr", rate, prog_bar=True, on_step=True, logger=False)
        position = self._position(batch_idx)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (position + 1) % every == 0:
            self._log_now({"lr": rate}, position)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's losses and cost."""
        losses = self.train_means.compute()
        self.train_means.reset()
        self.log_dict(losses, logger=False)  # For callbacks that monitor one.
        cost = {k: float(v) for k, v in self.trainer.callback_metrics.items() if "cost/" in k}
        last = int(self.trainer.num_training_batches) - 1
        self._log_now({**losses, **cost}, self._position(last))

    def _log_now(self, figures: dict[str, float], step: int) -> None:
        """Give figures to the loggers before the next checkpoint is written.

        Lightning's own logging comes after that: a run killed in between, and continued from that
        checkpoint, would never log them.
        """
        for logger in self.loggers:
            logger.log_metrics({**figures, "epoch": self.current_epoch}, step)
            logger.save()

    def _raw_optimizer(self) -> Optimizer:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        return optimizer

    def _position(self, batch_idx: int) -> int:
        """Batches before this one since the training began."""
        return self.trainer.current_epoch * int(self.trainer.num_training_batches) + batch_idx

    def _setting(self, batch_idx: int) -> Setting:
        return self.schedule.at(
            batch_idx,
            self.trainer.current_epoch,
            batches=int(self.trainer.num_training_batches),
            epochs=self.trainer.max_epochs or 1,
            batch_size=self.batch_size * self.trainer.world_size,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the card beside the weights, and what a continued training has to know."""
        checkpoint["card"] = self.card
        checkpoint["figures"] = self.figures
        checkpoint["last_update"] = self._last_update
        checkpoint["train_means"] = self.train_means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from where the accumulation, the losses and the validation were."""
        self._last_update = checkpoint["last_update"]
        self.figures = checkpoint.get("figures", {})  # Once they were not kept, nor the losses.
        if "train_means" in checkpoint:
            self.train_means.load_state_dict(checkpoint["train_means"])
