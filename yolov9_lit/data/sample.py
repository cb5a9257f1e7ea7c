"""One training image with its objects, and what a step of the augmentation does to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from yolov9_lit.data.extra import Extra
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.letterbox import pad_centred, resize_longest
from yolov9_lit.data.polygons import FlatPolygons

_NO_KEYPOINTS = Keypoints.none(0)
_NO_EXTRA = Extra.none(0)


@dataclass(frozen=True)
class Sample:
    """An image and its K objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (K, 4) float32 xyxy in pixels.
        labels: (K,) int64 class indices.
        polygons: for each object its outlines, (P, 2) float32 xy in pixels; none where unknown.
            Any sequence of sequences may be given: it is packed.
        keypoints: of the objects; without any by default.
        extra: further numbers of the objects; without any by default.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    polygons: FlatPolygons
    keypoints: Keypoints = _NO_KEYPOINTS
    extra: Extra = _NO_EXTRA

    def __post_init__(self) -> None:
        """Pack the polygons."""
        if not isinstance(self.polygons, FlatPolygons):
            object.__setattr__(self, "polygons", FlatPolygons.pack(self.polygons))
        if self.keypoints is _NO_KEYPOINTS:
            object.__setattr__(self, "keypoints", Keypoints.none(len(self.boxes)))
        if self.extra is _NO_EXTRA:
            object.__setattr__(self, "extra", Extra.none(len(self.boxes)))

    def keep(self, mask: np.ndarray) -> Sample:
        """Return the sample with the objects where `mask` (K,) is True."""
        if mask.all():
            return self
        return self.take(mask)

    def take(self, rows: np.ndarray) -> Sample:
        """Return the sample with the objects `rows` (N,), indices or a mask over all."""
        return Sample(
            self.image,
            self.boxes[rows],
            self.labels[rows],
            self.polygons.take(rows),
            self.keypoints.take(rows),
            self.extra.take(rows),
        )

    def with_objects_of(self, others: Sequence[Sample]) -> Sample:
        """Return this image with the other samples' objects added, their coordinates unchanged."""
        samples = (self, *others)
        return Sample(
            self.image,
            np.concatenate([s.boxes for s in samples]),
            np.concatenate([s.labels for s in samples]),
            FlatPolygons.joined([s.polygons for s in samples]),
            Keypoints.joined([s.keypoints for s in samples]),
            Extra.joined([s.extra for s in samples]),
        )

    def moved(self, image: np.ndarray, x: float, y: float) -> Sample:
        """Return the objects shifted by (x, y) pixels, on another image."""
        shift = np.array([x, y], dtype=np.float32)
        boxes = (self.boxes.reshape(-1, 2, 2) + shift).reshape(-1, 4)
        polygons = self.polygons.at(self.polygons.points + shift)
        keypoints = self.keypoints.at(self.keypoints.points + shift)
        return replace(self, image=image, boxes=boxes, polygons=polygons, keypoints=keypoints)

    def scaled_from(self, height: int, width: int) -> Sample:
        """Scale the objects from an image of (height, width) pixels to this one."""
        h, w = self.image.shape[:2]
        if (h, w) == (height, width):
            return self
        scale = np.array([w / width, h / height], dtype=np.float32)
        polygons = self.polygons.at(self.polygons.points * scale)
        boxes = (self.boxes.reshape(-1, 2, 2) * scale).reshape(-1, 4)
        keypoints = self.keypoints.at(self.keypoints.points * scale)
        return replace(self, boxes=boxes, polygons=polygons, keypoints=keypoints)

    def resized(self, image_size: int) -> Sample:
        """Scale image and objects so that the longest side is `image_size` pixels."""
        image = resize_longest(self.image, image_size, smooth=False)
        return replace(self, image=image).scaled_from(*self.image.shape[:2])

    def letterboxed(self, image_size: int) -> Sample:
        """Scale and pad to a square of `image_size` pixels, where it is not one already."""
        shape = (image_size, image_size)
        return self if self.image.shape[:2] == shape else self.resized(image_size).padded(shape)

    def padded(self, shape: tuple[int, int]) -> Sample:
        """Centre on grey of (height, width) pixels, where it does not have that size already."""
        if self.image.shape[:2] == shape:
            return self
        image, left, top = pad_centred(self.image, shape)
        return self.moved(image, left, top)


Another = Callable[[], Sample]
"""Gives a random other training sample that has passed the same steps."""


class Transform(Protocol):
    """Changes a sample. A transform with a true attribute `closes` rests in the last epochs."""

    def __call__(self, sample: Sample, rng: np.random.Generator, another: Another) -> Sample:
        """Apply.

        Args:
            sample: to change; its arrays must be left as they are.
            rng: all randomness comes from here.
            another: gives samples to mix in.
        """
        ...


def clipped(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut boxes (K, 4) xyxy at the edges of an image of that size."""
    return np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
