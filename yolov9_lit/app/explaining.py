"""What explain=true adds to a prediction: a picture for each image, in a folder of their own."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from yolov9_lit.building import build
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.images import ImagePredictor
from yolov9_lit.inference.media import AnnotatedWriter, Frame
from yolov9_lit.inference.predictor import require_checkpoint
from yolov9_lit.inference.source import Source
from yolov9_lit.reporting.explanation import draw_explanation


class Explanations:
    """Explains the best detections of images by the settings of a prediction."""

    def __init__(
        self, cfg: DictConfig, predictor: ImagePredictor, source: Source, folder: Path
    ) -> None:
        """Check that what is asked for can be explained.

        Args:
            cfg: of `predict`.
            predictor: on its device.
            source: what it is to run on.
            folder: of the pictures; made when the first is written.

        Raises:
            UserError: the predictor is an exported file, or the source holds a video.
        """
        self.predictor = require_checkpoint(predictor, cfg.ckpt)
        if source.videos:
            names = first_few(sorted(path.name for path in source.videos))
            raise UserError(f"explain=true explains images, not videos ({names}): give images.")
        self.explainer = build(cfg.explanation)
        self.image_size = cfg.image_size
        self.settings = NMSSettings(
            confidence=cfg.confidence,
            iou=cfg.iou,
            multi_label=False,
            max_detections=cfg.max_detections,
        )
        self.writer = AnnotatedWriter(folder)

    def write(self, frame: Frame) -> Path:
        """Explain one image and return the picture's path."""
        found, heats = self.explainer(self.predictor, frame.image, self.settings, self.image_size)
        names, layout = self.predictor.class_names, self.predictor.card.keypoints
        drawn = draw_explanation(frame.image, found, heats, names, layout)
        return self.writer.write(frame, drawn)
