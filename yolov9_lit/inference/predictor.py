"""A checkpoint's detector in evaluation mode, and the door to every file that can be run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression
from yolov9_lit.inference.exported import ExportedPredictor, open_exported
from yolov9_lit.inference.images import ImagePredictor, unit_range
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Detections, HeadOutput, Prediction
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.checkpoints import is_exported, load_detector, read_checkpoint


class Predictor(ImagePredictor):
    """A trained detector in evaluation mode.

    Attributes:
        detector: the network.
        card: its structure, classes and preprocessing.
    """

    def __init__(self, detector: Detector, card: ModelCard) -> None:
        super().__init__(card)
        self.detector = detector
        self.eval()

    def forward(self, images: Tensor) -> Prediction:
        """Raw outputs for images (B, 3, H, W) in 0..1, H and W multiples of 32."""
        return self.detector(images)

    def decode(self, output: HeadOutput) -> tuple[Tensor, Tensor]:
        """Boxes (B, A, 4) xyxy in input pixels and probabilities (B, A, C) of one branch."""
        return self.detector.decode(output)

    @torch.inference_mode()
    def detect(self, images: Tensor, settings: NMSSettings) -> list[Detections]:
        """Detect objects in inputs, see `ImagePredictor.detect`."""
        images = unit_range(images.to(next(self.parameters()).device))
        return non_max_suppression(*self.decode(self(images).main), settings)

    def deploy(self) -> Predictor:
        """A copy with the main branch alone, re-parameterised and fused: same detections."""
        return Predictor(self.detector.deploy(), self.card)


def load(path: str | Path) -> Predictor | ExportedPredictor:
    """Load a checkpoint, or an exported file (told by its ending), on the CPU.

    Returns:
        A module in evaluation mode whose `predict` detects objects in images.

    Raises:
        UserError: the file is not there or is none of these, or its runtime is not installed.
    """
    if is_exported(path):
        return open_exported(path)
    checkpoint = read_checkpoint(path)
    return Predictor(load_detector(checkpoint, path), checkpoint.card)
