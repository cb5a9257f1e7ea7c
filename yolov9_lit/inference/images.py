"""Images in, detections out: what every predictor shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from yolov9_lit.checks import whole_number
from yolov9_lit.data.images import read_image, rgb_pixels
from yolov9_lit.data.letterbox import (
    evaluation_letterbox,
    fitted_size,
    prediction_shape,
    restore,
)
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.views import Views
from yolov9_lit.kinds import LARGEST_SIDE
from yolov9_lit.models.head import numbers_as_text
from yolov9_lit.models.masks import masks_of
from yolov9_lit.structures import Detections, ImageInfo
from yolov9_lit.weights.card import ModelCard

ImageLike: TypeAlias = str | Path | np.ndarray | Image.Image
"""A path, an array (H, W, 3) or (H, W) uint8 RGB, or a PIL image."""

MOST_ON_CPU = 4
"""Images at a time: the maps of more do not stay in a CPU's caches."""


class ImagePredictor(nn.Module, ABC):
    """A detector with its classes and preprocessing; a subclass computes the detections.

    Attributes:
        card: structure, classes and preprocessing.
        input_shape: (height, width) of all inputs if the network takes no other.
    """

    def __init__(self, card: ModelCard, input_shape: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.card = card
        self.input_shape = input_shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names by class index."""
        return self.card.class_names

    @property
    def finds_masks(self) -> bool:
        """Return whether detections have masks."""
        return False

    def captions(self, detections: Detections) -> list[str]:
        """Return what is drawn beside the score of each; nothing where there is no more to say."""
        return [] if detections.extra is None else numbers_as_text(detections.extra)

    def input_size(self, wanted: int | None) -> int:
        """Return the longest side of inputs in pixels: the wanted one, or the card's.

        Raises:
            UserError: the wanted one is no size, or the network takes only another one.
        """
        if wanted is None:
            return self.card.image_size
        if self.input_shape and wanted != max(self.input_shape):
            height, width = self.input_shape
            raise UserError(
                f"image_size={wanted} does not fit: this file takes {height}x{width} only, leave "
                "image_size out."
            )
        return whole_number("image_size", wanted, most=LARGEST_SIDE)

    @abstractmethod
    def detect(self, images: Tensor, settings: NMSSettings) -> list[Detections]:
        """Detect objects in inputs.

        Args:
            images: (B, 3, H, W) uint8 (0..255) or float (0..1), H and W multiples of 32.
            settings: settings of non-maximum suppression.

        Returns:
            One entry per image, boxes xyxy in input pixels.
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
        views: Views | None = None,
    ) -> list[Detections]:
        """Detect objects in images.

        Each image is letterboxed to the smallest rectangle of multiples of 32 that holds it, so
        that its detections do not depend on the other images. Evaluation pads half a stride more.

        Args:
            images: one image or several.
            confidence: score that detections must exceed, 0..1.
            iou: threshold of non-maximum suppression, 0..1.
            max_detections: largest number of detections per image.
            image_size: longest side of inputs in pixels; the checkpoint's by default. An exported
                file of a fixed shape takes no other.
            batch_size: largest number of images in a batch.
            views: how each is looked at, `Tiles` of large ones for example; as a whole by default.

        Returns:
            One entry per image, boxes xyxy, and masks or keypoints if the head finds any, in the
            image's own pixels; and what else it gives as `extra`.

        Raises:
            UserError: an image cannot be read, a value is out of its range, or there is more than
                boxes to put together from views.
        """
        size, batch_size = self.input_size(image_size), whole_number("batch_size", batch_size)
        settings = NMSSettings(
            confidence=confidence, iou=iou, multi_label=False, max_detections=max_detections
        )
        given = [images] if isinstance(images, ImageLike) else list(images)
        arrays = [_as_array(one) for one in given]
        if views is not None:
            return [self.detect_views(one, views, settings, size, batch_size) for one in arrays]
        return self._found(arrays, [size] * len(arrays), settings, batch_size)

    def detect_views(
        self,
        image: np.ndarray,
        views: Views,
        settings: NMSSettings,
        size: int,
        batch_size: int = 16,
    ) -> Detections:
        """Detect objects in views of an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            views: how it is looked at.
            settings: of each view; the confidence and the most detections are those of all too.
            size: longest side of inputs in pixels, see `input_size`.
            batch_size: largest number of views in a batch.

        Returns:
            Boxes xyxy in the image's pixels.

        Raises:
            UserError: the detector finds more than boxes, or takes inputs of one size only.
        """
        self.require_boxes_alone()
        height, width = image.shape[:2]
        looked = views.of(height, width, size)
        sizes = [view.image_size for view in looked]
        if self.input_shape and set(sizes) != {size}:
            raise UserError(
                f"This file takes {self.input_shape[0]}x{self.input_shape[1]} only, which is one "
                "scale: give views.scales=[1]."
            )
        found = self._found([view.of(image) for view in looked], sizes, settings, batch_size)
        if any(detections.extra is not None for detections in found):
            raise _no_views("further numbers")
        return views.merged(looked, found, (height, width), settings)

    def require_boxes_alone(self) -> None:
        """Refuse a detector of what cannot be put together from views of an image.

        Raises:
            UserError: it finds masks or keypoints.
        """
        if self.finds_masks or self.card.keypoints:
            raise _no_views("masks" if self.finds_masks else "keypoints")

    def _found(
        self, arrays: list[np.ndarray], sizes: list[int], settings: NMSSettings, batch_size: int
    ) -> list[Detections]:
        """Return what is in images, each scaled to its own longest side."""
        by_shape: dict[tuple[tuple[int, int], int], list[int]] = defaultdict(list)
        for i, (array, size) in enumerate(zip(arrays, sizes, strict=True)):
            shape = self.input_shape or prediction_shape(array.shape[:2], size)
            by_shape[shape, size].append(i)

        results: dict[int, Detections] = {}
        for (shape, size), indices in by_shape.items():
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
        return [_in_image(d, info) for d, info in zip(found, infos, strict=True)]


def _no_views(found: str) -> UserError:
    return UserError(
        f"This model finds {found} too, which cannot be put together from several views of an "
        "image: leave views out."
    )


def _in_image(detections: Detections, info: ImageInfo) -> Detections:
    """Put detections in input pixels into the image's own, masks as well if it has any."""
    found = restore(detections, info)._replace(parts=None)
    if detections.parts is None:
        return found
    return found._replace(masks=masks_of(*detections.parts, detections.boxes, info))


def unit_range(images: Tensor) -> Tensor:
    """Return images as floats in 0..1, from uint8 in 0..255 or from floats in 0..1."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def _as_array(image: ImageLike) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB, as `read_image` gives of a file.

    Raises:
        UserError: it is no image, or its range of values cannot be known.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        try:
            return rgb_pixels(image, f"of mode {image.mode}")
        except (ValueError, OSError) as error:
            raise UserError(f"An image of mode {image.mode} cannot be used: {error}.") from error
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
        if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
            return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        if image.ndim == 3 and image.shape[2] in (3, 4):
            return image[..., :3]
    given = f"{getattr(image, 'dtype', type(image).__name__)} of {np.shape(image)}"
    raise UserError(
        f"An image is {given}: give a path, a PIL image, or an array (height, width, 3) of RGB in "
        "uint8, 0 to 255."
    )
