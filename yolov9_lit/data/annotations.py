"""The annotations of a data set's split, in flat arrays.

They hold no Python object per box, so forked workers share their memory instead of copying it as
reference counts change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.extra import Extra
from yolov9_lit.data.images import ImageSource
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.structures import KeypointLayout


class Category(NamedTuple):
    """A class of objects under the id its annotation file gives it."""

    id: int
    name: str


class ImageObjects(NamedTuple):
    """The annotated objects of one image; copies, free to change.

    Attributes:
        boxes: (K, 4) float32, xyxy in pixels of the image.
        labels: (K,) int64, contiguous class indices.
        crowd: (K,) bool, True for a region of many objects.
        polygons: outlines of the K objects inside the image, of RLE masks too; none for crowds.
        keypoints: of the K objects; without those outside the image.
        extra: numbers of the K objects.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    polygons: FlatPolygons
    keypoints: Keypoints
    extra: Extra


@dataclass(frozen=True, eq=False)
class Annotations:
    """N images and their M objects, in flat arrays.

    Attributes:
        path: the COCO-format file they come from.
        images: the N images, in the file's order.
        categories: sorted by id, or as they were chosen; a contiguous label is a position in it.
        image_ids: (N,) int64.
        sizes: (N, 2) int32, height and width in pixels as the file states them.
        boxes: (M, 4) float32, xyxy in pixels inside the image, grouped by image.
        labels: (M,) int64, contiguous class indices.
        crowd: (M,) bool.
        offsets: (N + 1,) int64; image i has the objects offsets[i]:offsets[i + 1].
        polygons: outlines of the M objects.
        keypoints: (M, J, 3) float32, x and y in pixels as the file states them, and 0 (not
            annotated), 1 (hidden) or 2 (visible); J is 0 where no category has keypoints.
        layout: what the J keypoints are; None where no category has any.
        faults: how many were left out, clipped or mended, by the sentence that says so.
        extra: numbers of the M objects, where `data.extra` asks for some.
    """

    path: Path
    images: ImageSource
    categories: tuple[Category, ...]
    image_ids: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    offsets: np.ndarray
    polygons: FlatPolygons
    keypoints: np.ndarray
    layout: KeypointLayout | None
    faults: Mapping[str, int] = field(default_factory=dict)
    extra: Extra | None = None

    def __len__(self) -> int:
        """Return the number of images, those without objects included."""
        return len(self.image_ids)

    @property
    def num_classes(self) -> int:
        """Return the number of categories, with objects or without."""
        return len(self.categories)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the category names by contiguous label."""
        return tuple(category.name for category in self.categories)

    def objects(self, index: int) -> ImageObjects:
        """Return the objects of image `index`, in the file's order."""
        start, stop = int(self.offsets[index]), int(self.offsets[index + 1])
        span = slice(start, stop)
        boxes, labels, crowd = self.boxes[span], self.labels[span], self.crowd[span]
        polygons = self.polygons.span(start, stop)
        np.clip(polygons.points, 0, self.sizes[index, ::-1], out=polygons.points)
        keypoints = self._keypoints(index, span)
        extra = self.extra.take(span) if self.extra else Extra.none(stop - start)
        return ImageObjects(boxes.copy(), labels.copy(), crowd.copy(), polygons, keypoints, extra)

    def _keypoints(self, index: int, span: slice) -> Keypoints:
        if self.layout is None:
            return Keypoints.none(span.stop - span.start)
        height, width = self.sizes[index].tolist()
        mirrored = np.array(self.layout.mirrored, dtype=np.int64)
        return Keypoints(self.keypoints[span], mirrored).within(height, width)
