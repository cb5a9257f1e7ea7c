"""The LightningModules that evaluate a detector with COCO's figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import lightning as L
from torch import Tensor

from yolov9_lit.data.letterbox import restore_boxes
from yolov9_lit.evaluation.coco_map import CocoMetric, CocoResult
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.predictor import ImagePredictor
from yolov9_lit.structures import Batch, Detections


class EvaluationModule(L.LightningModule, ABC):
    """Measures what a subclass's `detect` finds in a data set."""

    def __init__(self, nms: NMSSettings, test_metric: CocoMetric) -> None:
        """Join the parts.

        Args:
            nms: of the evaluation.
            test_metric: measures the test.

        After an evaluation, `figures` holds what it gave; after a test, `result` has the figures
        by class too, and `found` the detections in COCO's format.
        """
        super().__init__()
        self.nms = nms
        self.test_metric = test_metric
        self.result: CocoResult | None = None
        self.figures: dict[str, float] = {}
        self.found: list[dict[str, Any]] = []

    @abstractmethod
    def detect(self, images: Tensor) -> list[Detections]:
        """Detections in images (B, C, H, W) uint8 or float, in input pixels."""

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, list[Detections]]:
        """Detect and measure; callbacks find the "detections" in the outputs."""
        if not batch.infos:  # None of its images could be read.
            return {"detections": []}
        detections = restored(self.detect(batch.images), batch)
        self.test_metric.update(detections, [info.image_id for info in batch.infos])
        return {"detections": detections}

    def on_test_epoch_start(self) -> None:
        """Forget an earlier test."""
        self.test_metric.reset()

    def on_test_epoch_end(self) -> None:
        """Log the COCO figures."""
        self.log_figures("test", self.test_metric)
        self.found = self.test_metric.detections_json()

    def log_figures(self, stage: str, metric: CocoMetric) -> None:
        """Compute, keep as `result` and log; every rank holds the same figures afterwards."""
        self.result = metric.compute()
        self.figures = self.result.figures()
        for name, value in self.figures.items():
            self.log(f"{stage}/{name}", value, prog_bar=name in ("AP", "AP50"))


class PredictorEvaluation(EvaluationModule):
    """Measures a checkpoint's detector, or an exported file."""

    def __init__(
        self, predictor: ImagePredictor, nms: NMSSettings, test_metric: CocoMetric
    ) -> None:
        """Join the parts; see `EvaluationModule`."""
        super().__init__(nms, test_metric)
        self.predictor = predictor

    def detect(self, images: Tensor) -> list[Detections]:
        """Detect."""
        return self.predictor.detect(images, self.nms)


def restored(found: list[Detections], batch: Batch) -> list[Detections]:
    """Detections of a batch in the original images' pixels."""
    return [
        detections._replace(boxes=restore_boxes(detections.boxes, info))
        for detections, info in zip(found, batch.infos, strict=True)
    ]
