"""The LightningModule that evaluates a detector with COCO's figures."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from yolov9_lit.data.letterbox import restore_boxes
from yolov9_lit.evaluation.coco_map import CocoMetric, CocoResult
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Batch, Detections, Prediction


class EvaluationModule(L.LightningModule):
    """Runs a detector's main branch over a data set and measures it."""

    def __init__(self, detector: Detector, nms: NMSSettings, test_metric: CocoMetric) -> None:
        """Join the parts.

        Args:
            detector: the network.
            nms: of the evaluation.
            test_metric: measures the test.

        After a test, `result` holds its figures and `found` its detections in COCO's format.
        """
        super().__init__()
        self.detector = detector
        self.nms = nms
        self.test_metric = test_metric
        self.result: CocoResult | None = None
        self.found: list[dict[str, Any]] = []

    def forward(self, images: Tensor) -> Prediction:
        """Raw outputs of all branches for uint8 (0..255) or float (0..1) images (B, C, H, W)."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return self.detector(images)

    def detect(self, prediction: Prediction, batch: Batch) -> list[Detections]:
        """Detections of the main branch, one an image, in the original pictures' pixels."""
        found = non_max_suppression(*self.detector.decode(prediction.main), self.nms)
        return [
            detections._replace(boxes=restore_boxes(detections.boxes, info))
            for detections, info in zip(found, batch.infos, strict=True)
        ]

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, list[Detections]]:
        """Detect and measure; callbacks find the "detections" in the outputs."""
        if not batch.infos:  # None of its pictures could be read.
            return {"detections": []}
        detections = self.detect(self(batch.images), batch)
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
        for name, value in self.result.figures().items():
            self.log(f"{stage}/{name}", value, prog_bar=name in ("AP", "AP50"))
