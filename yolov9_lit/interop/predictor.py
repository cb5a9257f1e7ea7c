"""A detector with its classes and preprocessing: pictures in, detections out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from yolov9_lit.data.images import read_image
from yolov9_lit.data.letterbox import evaluation_letterbox, evaluation_shape, restore_boxes
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression
from yolov9_lit.interop.card import ModelCard
from yolov9_lit.interop.checkpoints import load_detector, read_checkpoint
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Detections, HeadOutput, ImageInfo, Prediction

Picture: TypeAlias = str | Path | np.ndarray | Image.Image
"""A path, an array (H, W, 3) or (H, W) uint8 RGB, or a PIL image."""


class Predictor(nn.Module):
    """A trained detector in evaluation mode.

    Attributes:
        detector: the network.
        card: its structure, classes and preprocessing.
    """

    def __init__(self, detector: Detector, card: ModelCard) -> None:
        super().__init__()
        self.detector = detector
        self.card = card
        self.eval()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class index."""
        return self.card.class_names

    def forward(self, images: Tensor) -> Prediction:
        """Raw outputs for images (B, 3, H, W) in 0..1, H and W multiples of 32."""
        return self.detector(images)

    def decode(self, output: HeadOutput) -> tuple[Tensor, Tensor]:
        """Boxes (B, A, 4) xyxy in input pixels and probabilities (B, A, C) of one branch."""
        return self.detector.decode(output)

    def deploy(self) -> Predictor:
        """A copy with the main branch alone, re-parameterised and fused: same detections."""
        return Predictor(self.detector.deploy(), self.card)

    @torch.inference_mode()
    def predict(
        self,
        images: Picture | Sequence[Picture],
        *,
        confidence: float = 0.25,
        iou: float = 0.45,
        max_detections: int = 300,
        image_size: int | None = None,
        batch_size: int = 16,
    ) -> list[Detections]:
        """Detect objects.

        Pictures are letterboxed as in evaluation, each to its own aspect ratio, so that a
        picture's result does not depend on its company.

        Args:
            images: one picture or several.
            confidence: detections score more than this, 0..1.
            iou: threshold of non-maximum suppression, 0..1.
            max_detections: most detections of a picture.
            image_size: longest side the network sees, in pixels; the checkpoint's by default.
            batch_size: most pictures computed at once.

        Returns:
            One entry a picture, boxes xyxy in the picture's own pixels.

        Raises:
            UserError: a picture cannot be read.
        """
        pictures = [images] if isinstance(images, Picture) else list(images)
        arrays = [_as_array(picture) for picture in pictures]
        size = image_size or self.card.image_size
        by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, array in enumerate(arrays):
            by_shape[evaluation_shape([array.shape[:2]], size)].append(i)

        settings = NMSSettings(
            confidence=confidence, iou=iou, multi_label=False, max_detections=max_detections
        )
        results: dict[int, Detections] = {}
        for shape, indices in by_shape.items():
            for start in range(0, len(indices), batch_size):
                chunk = indices[start : start + batch_size]
                found = self._detect([arrays[i] for i in chunk], shape, size, settings)
                results |= zip(chunk, found, strict=True)
        return [results[i] for i in range(len(arrays))]

    def _detect(
        self, arrays: list[np.ndarray], shape: tuple[int, int], size: int, settings: NMSSettings
    ) -> list[Detections]:
        inputs, infos = [], []
        for array in arrays:
            boxed, placement = evaluation_letterbox(array, shape, size)
            height, width = array.shape[:2]
            inputs.append(boxed)
            infos.append(ImageInfo(0, "", height, width, *placement))
        device = next(self.parameters()).device
        batch = torch.from_numpy(np.stack(inputs)).to(device).permute(0, 3, 1, 2).float() / 255
        found = non_max_suppression(*self.decode(self(batch).main), settings)
        return [
            d._replace(boxes=restore_boxes(d.boxes, info))
            for d, info in zip(found, infos, strict=True)
        ]


def _as_array(picture: Picture) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    if isinstance(picture, str | Path):
        return read_image(Path(picture))
    if isinstance(picture, Image.Image):
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    return picture[..., :3]


def load(path: str | Path) -> Predictor:
    """Load a checkpoint as a detector in evaluation mode, on the CPU.

    Raises:
        UserError: the file is not there or is no checkpoint.
    """
    checkpoint = read_checkpoint(path)
    return Predictor(load_detector(checkpoint, path), checkpoint.card)
