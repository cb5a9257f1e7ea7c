"""The predictor of a checkpoint, and `load`, which opens any file that can be run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings, suppressed
from yolov9_lit.inference.exported import ExportedPredictor, open_exported
from yolov9_lit.inference.images import MOST_ON_CPU, ImagePredictor, unit_range
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Detections, HeadOutput, Prediction
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.checkpoints import load_detector, read_checkpoint

CHECKPOINT_SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")
"""Usual endings of checkpoints, which are never exported files; others may be either."""


class Predictor(ImagePredictor):
    """A trained detector in evaluation mode.

    Attributes:
        detector: the network.
    """

    def __init__(self, detector: Detector, card: ModelCard) -> None:
        super().__init__(card)
        self.detector = detector
        self.eval()

    @property
    def finds_masks(self) -> bool:
        """Return whether detections have masks."""
        return self.detector.finds_masks

    def captions(self, detections: Detections) -> list[str]:
        """Return what the head says of its extra numbers."""
        extra = detections.extra
        return [] if extra is None else self.detector.head.captions(extra)

    def forward(self, images: Tensor) -> Prediction:
        """Return raw outputs for images (B, 3, H, W) in 0..1, H and W multiples of 32."""
        return self.detector(images)

    def decode(self, output: HeadOutput) -> tuple[Tensor, Tensor]:
        """Return boxes (B, A, 4) xyxy in input pixels and probabilities (B, A, C) of one branch."""
        return self.detector.decode(output)

    @torch.inference_mode()
    def detect(self, images: Tensor, settings: NMSSettings) -> list[Detections]:
        """Detect objects in inputs, see `ImagePredictor.detect`."""
        device = next(self.parameters()).device
        pieces = images.split(MOST_ON_CPU) if device.type == "cpu" else (images,)
        outputs = (self(unit_range(piece.to(device))).main for piece in pieces)
        return [
            detections
            for output in outputs
            for detections in suppressed(self.detector.candidates(output), settings)
        ]

    def one_branch(self, head: str | None = None) -> Predictor:
        """Return a predictor of one branch alone; its modules are shared, not copied.

        Args:
            head: name of an auxiliary branch of a trained detector; the main one by default.

        Raises:
            UserError: there is no such branch.
        """
        whole = self.detector
        with _told_as(head):
            alone = whole.without_auxiliary() if head is None else whole.auxiliary_alone(head)
        return Predictor(alone, self.card)

    def deploy(self, head: str | None = None) -> Predictor:
        """Return a copy of one branch alone, fused, channels last; it detects the same.

        Raises:
            UserError: there is no branch `head`, see `one_branch`.
        """
        with _told_as(head):
            alone = self.detector.deploy(head)
        return Predictor(alone, self.card).to(memory_format=torch.channels_last)


def require_checkpoint(predictor: ImagePredictor, path: str | Path) -> Predictor:
    """Return a predictor whose feature maps can be read.

    Args:
        predictor: as `load` gives it.
        path: what was loaded.

    Raises:
        UserError: it is an exported file.
    """
    if isinstance(predictor, Predictor):
        return predictor
    raise UserError(
        f"{path} is exported and shows no feature maps: give the checkpoint that it was made from."
    )


@contextmanager
def _told_as(head: str | None) -> Iterator[None]:
    """Raise a `UserError` for a branch that is not there."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"head={head}: {error}; leave it out for the main one.") from error


def load(path: str | Path) -> Predictor | ExportedPredictor:
    """Load a checkpoint or an exported file on the CPU; an ending of its own tells the latter.

    Returns:
        A module in evaluation mode; its `predict` detects objects in images.

    Raises:
        UserError: the file does not exist or is neither, or its runtime is not installed.
    """
    if Path(path).suffix not in CHECKPOINT_SUFFIXES and (file := open_exported(path)):
        return file
    checkpoint = read_checkpoint(path)
    return Predictor(load_detector(checkpoint, path), checkpoint.card)
