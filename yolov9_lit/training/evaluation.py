"""The LightningModules that measure a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypedDict

import lightning as L
from torch import Tensor

from yolov9_lit.data.letterbox import restore
from yolov9_lit.evaluation.encoding import encoded_masks
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.evaluation.metric import UNMEASURED, DetectionMetric, MetricResult
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.images import ImagePredictor
from yolov9_lit.inference.views import Views
from yolov9_lit.structures import Batch, Detections


class Measured(TypedDict):
    """What callbacks are given of a batch that was measured, an entry an image.

    Attributes:
        detections: in the original image's pixels, without masks.
        masks: of these; None where the detector finds none.
    """

    detections: list[Detections]
    masks: list[EncodedMasks] | None


class EvaluationModule(L.LightningModule, ABC):
    """Measures what a subclass's `detect` finds in a data set.

    Attributes:
        figures: the metric's figures of the last evaluation, COCO's 12 by default.
        result: these and more, by class too, of the last evaluation.
        found: detections of the last test.
    """

    def __init__(self, nms: NMSSettings, test_metric: DetectionMetric) -> None:
        super().__init__()
        self.nms = nms
        self.test_metric = test_metric
        self.result: MetricResult | None = None
        self.figures: dict[str, float] = {}
        self.found: Found | None = None

    @abstractmethod
    def detect(self, images: Tensor) -> list[Detections]:
        """Return the detections in images (B, C, H, W) uint8 or float, in input pixels."""

    @property
    @abstractmethod
    def finds_masks(self) -> bool:
        """Return whether the detections have masks."""

    @property
    @abstractmethod
    def num_keypoints(self) -> int:
        """Return how many keypoints a detection has."""

    def begin(self, metric: DetectionMetric) -> None:
        """Make a metric ready for an evaluation, and tell it what the detector finds.

        The task decides which figures there are, not what is found: of images without detections,
        or of none at all, masks are measured as boxes are.
        """
        metric.reset()
        metric.num_keypoints = self.num_keypoints
        if self.finds_masks:
            metric.update([], [], [])

    def test_step(self, batch: Batch, batch_idx: int) -> Measured:
        """Detect and measure."""
        if not batch.infos:  # None of its images could be read.
            return Measured(detections=[], masks=None)
        return self.measure(self.test_metric, self.detect(batch.images), batch)

    def measure(
        self, metric: DetectionMetric, detections: list[Detections], batch: Batch
    ) -> Measured:
        """Add a batch's detections, in input pixels, to a metric."""
        pairs = [*zip(detections, batch.infos, strict=True)]
        restored = [restore(found, info)._replace(parts=None) for found, info in pairs]
        ids = [info.image_id for info in batch.infos]
        masks = [
            encoded_masks(found.parts, found.boxes, info)
            for found, info in pairs
            if found.parts is not None
        ]
        if masks:
            metric.update(restored, ids, masks)
        else:
            metric.update(restored, ids)
        return Measured(detections=restored, masks=masks or None)

    def on_test_epoch_start(self) -> None:
        self.begin(self.test_metric)

    def on_test_epoch_end(self) -> None:
        self.log_figures("test", self.test_metric)
        self.found = self.test_metric.detections()

    def log_figures(self, stage: str, metric: DetectionMetric) -> None:
        """Compute a metric, on all ranks alike, keep it and log it as `stage`/AP and so on.

        Callbacks see all figures, loggers those that could be measured: -1 would be a curve.
        """
        self.result = metric.compute()
        self.figures = self.result.figures()
        for name, value in self.figures.items():
            shown = name in ("AP", "AP50", "mask_AP", "pose_AP")
            logged = value != UNMEASURED and bool(self.trainer.loggers)
            self.log(f"{stage}/{name}", value, prog_bar=shown, logger=logged)


class PredictorEvaluation(EvaluationModule):
    """Measures the detector of a checkpoint or of an exported file."""

    def __init__(
        self, predictor: ImagePredictor, nms: NMSSettings, test_metric: DetectionMetric
    ) -> None:
        super().__init__(nms, test_metric)
        self.predictor = predictor

    @property
    def finds_masks(self) -> bool:
        return self.predictor.finds_masks

    @property
    def num_keypoints(self) -> int:
        layout = self.predictor.card.keypoints
        return len(layout.names) if layout else 0

    def detect(self, images: Tensor) -> list[Detections]:
        return self.predictor.detect(images, self.nms)


class ViewsEvaluation(PredictorEvaluation):
    """Measures what is found in views of each image; a batch is to be one image in its own size."""

    def __init__(
        self,
        predictor: ImagePredictor,
        nms: NMSSettings,
        test_metric: DetectionMetric,
        views: Views,
        image_size: int,
    ) -> None:
        """Join the parts.

        Args:
            views: how an image is looked at.
            image_size: longest side of an input in pixels.
        """
        super().__init__(predictor, nms, test_metric)
        self.views = views
        self.image_size = image_size

    def detect(self, images: Tensor) -> list[Detections]:
        arrays = [image.permute(1, 2, 0).cpu().numpy() for image in images]
        return [
            self.predictor.detect_views(array, self.views, self.nms, self.image_size)
            for array in arrays
        ]
