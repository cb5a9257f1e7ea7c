"""Images in, detections out: what every way to run a detector shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from yolov9_lit.checks import whole_number
from yolov9_lit.data.images import read_image
from yolov9_lit.data.letterbox import (
    evaluation_letterbox,
    evaluation_shape,
    fitted_size,
    restore_boxes,
)
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.structures import Detections, ImageInfo
from yolov9_lit.weights.card import ModelCard

ImageLike: TypeAlias = str | Path | np.ndarray | Image.Image
"""A path, an array (H, W, 3) or (H, W) uint8 RGB, or a PIL image."""


class ImagePredictor(nn.Module, ABC):
    """A detector with its classes and preprocessing; a subclass says how it computes.

    Attributes:
        card: structure, classes and preprocessing.
        input_shape: (height, width) of all inputs, where the network takes no other.
    """

    def __init__(self, card: ModelCard, input_shape: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.card = card
        self.input_shape = input_shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class index."""
        return self.card.class_names

    def input_size(self, wanted: int | None) -> int:
        """Longest side that images get: the wanted one, or the card's.

        Raises:
            UserError: it is no size, or the network takes one shape only, which is another.
        """
        if wanted is None:
            return self.card.image_size
        if self.input_shape and wanted != max(self.input_shape):
            height, width = self.input_shape
            raise UserError(
                f"image_size={wanted}: this file takes {height}x{width} only, leave image_size out."
            )
        return whole_number("image_size", wanted)

    @abstractmethod
    def detect(self, images: Tensor, settings: NMSSettings) -> list[Detections]:
        """Detect objects in inputs.

        Args:
            images: (B, 3, H, W) uint8 (0..255) or float (0..1), H and W multiples of 32.
            settings: of non-maximum suppression.

        Returns:
            One entry an image, boxes in input pixels.
        """

    @torch.inference_mode()
    def predict(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        confidence: float = 0.25,
        iou: float = 0.45,
        max_detections: int = 300,
        image_size: int | None = None,
        batch_size: int = 16,
    ) -> list[Detections]:
        """Detect objects.

        Images are letterboxed as in evaluation, each to its own aspect ratio, so that a
        image's result does not depend on its company.

        Args:
            images: one image or several.
            confidence: detections score more than this, 0..1.
            iou: threshold of non-maximum suppression, 0..1.
            max_detections: most detections of an image.
            image_size: longest side the network sees, in pixels; the checkpoint's by default. An
                exported file of a fixed shape takes no other.
            batch_size: most images computed at once.

        Returns:
            One entry an image, boxes xyxy in the image's own pixels.

        Raises:
            UserError: an image cannot be read, or a value is out of its range.
        """
        size, batch_size = self.input_size(image_size), whole_number("batch_size", batch_size)
        settings = NMSSettings(
            confidence=confidence, iou=iou, multi_label=False, max_detections=max_detections
        )
        given = [images] if isinstance(images, ImageLike) else list(images)
        arrays = [_as_array(one) for one in given]
        by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, array in enumerate(arrays):
            shape = self.input_shape or evaluation_shape([array.shape[:2]], size)
            by_shape[shape].append(i)

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
            height, width = array.shape[:2]
            longest = fitted_size((height, width), shape) if self.input_shape else size
            boxed, placement = evaluation_letterbox(array, shape, longest)
            inputs.append(boxed)
            infos.append(ImageInfo(0, "", height, width, *placement))
        batch = torch.from_numpy(np.stack(inputs)).permute(0, 3, 1, 2)
        found = self.detect(batch, settings)
        return [
            d._replace(boxes=restore_boxes(d.boxes, info))
            for d, info in zip(found, infos, strict=True)
        ]


def unit_range(images: Tensor) -> Tensor:
    """Images as floats in 0..1, of uint8 in 0..255 or of such floats."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _as_array(image: ImageLike) -> np.ndarray:
    """(H, W, 3) uint8 RGB; as `read_image`, drops transparency and keeps the upper 8 of 16 bits."""
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        image = ImageOps.exif_transpose(image)
        if not image.mode.startswith("I;16"):
            return np.asarray(image.convert("RGB"))
        image = (np.asarray(image) >> 8).astype(np.uint8)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
        if image.ndim == 2:
            return np.repeat(image[..., None], 3, axis=2)
        if image.ndim == 3 and image.shape[2] in (3, 4):
            return image[..., :3]
    given = f"{getattr(image, 'dtype', type(image).__name__)} of {np.shape(image)}"
    raise UserError(
        f"An image is {given}: give a path, a PIL image, or uint8 RGB of (height, width, 3)."
    )
