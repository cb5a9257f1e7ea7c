"""Views of an image: its parts, scales and mirror images that are looked at one after the other."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import Tensor

from yolov9_lit.data.tiles import tiles_of
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.merging import Gathered, Merge, WeightedBoxesFusion
from yolov9_lit.kinds import Limits, PositiveFloat, PositiveInt
from yolov9_lit.structures import Detections

_NEAR = 0.01  # Share of a tile's side: what is found so near to a border may go on behind it.


class View(NamedTuple):
    """A part of an image as the network is shown it.

    Attributes:
        left: of the part, in the image's pixels, as the others.
        top: first row.
        right: behind its last column.
        bottom: behind its last row.
        image_size: its longest side in input pixels.
        mirrored: whether left and right change places.
    """

    left: int
    top: int
    right: int
    bottom: int
    image_size: int
    mirrored: bool = False

    @property
    def magnification(self) -> float:
        """Return input pixels per pixel of the image."""
        return self.image_size / max(self.right - self.left, self.bottom - self.top)

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return the part of an image (H, W, 3)."""
        part = image[self.top : self.bottom, self.left : self.right]
        return np.ascontiguousarray(part[:, ::-1]) if self.mirrored else part

    def in_image(self, boxes: Tensor) -> Tensor:
        """Map boxes (N, 4) xyxy from the part's pixels to the image's."""
        if self.mirrored:
            x1, y1, x2, y2 = boxes.unbind(dim=-1)
            width = self.right - self.left
            boxes = torch.stack((width - x2, y1, width - x1, y2), dim=-1)
        return boxes + boxes.new_tensor([self.left, self.top] * 2)


class Views(ABC):
    """How an image is looked at.

    Attributes:
        merge: makes one detection of those of several views.
    """

    def __init__(self, merge: Merge) -> None:
        self.merge = merge

    @abstractmethod
    def of(self, height: int, width: int, image_size: int) -> list[View]:
        """Return the views of an image of that size in pixels, each once.

        Args:
            height: of the image.
            width: of the image.
            image_size: longest side of an input.
        """

    def merged(
        self,
        views: Sequence[View],
        found: Sequence[Detections],
        size: tuple[int, int],
        settings: NMSSettings,
    ) -> Detections:
        """Put together what the views of an image have found; that of one view stays as it is.

        Args:
            views: of the image.
            found: boxes in the pixels of each.
            size: (height, width) of the image in pixels.
            settings: the confidence that detections exceed, and the most of them.

        Raises:
            ValueError: they have more than boxes.
        """
        if any(field is not None for detections in found for field in detections[3:]):
            raise ValueError("masks, keypoints and further numbers cannot be put together")
        if len(views) == 1:
            return found[0]._replace(boxes=views[0].in_image(found[0].boxes))
        borders = _inner_borders(views, size)
        magnifications = torch.tensor([view.magnification for view in views])
        parts = []
        for i, (view, detections) in enumerate(zip(views, found, strict=True)):
            boxes = view.in_image(detections.boxes)
            inside = _inside(boxes.cpu(), borders)
            cut = ~inside[:, i]
            # Another view that shows all of a cut object's part shows more of it.
            as_large = magnifications >= magnifications[i]
            kept = ~(cut & inside[:, as_large].any(dim=1)).to(boxes.device)
            rows = (boxes, detections.scores, detections.labels, cut.to(boxes.device))
            parts.append([row[kept] for row in rows])
        boxes, scores, labels, cut = map(torch.cat, zip(*parts, strict=True))
        scores, order = scores.sort(descending=True, stable=True)
        gathered = Gathered(boxes[order], scores, labels[order], cut[order], len(views))
        merged = self.merge(gathered, settings.max_detections)
        return merged.select(merged.scores > settings.confidence)


class Tiles(Views):
    """Tiles of one size that overlap and cover the image, as SAHI slices (arXiv 2202.06934)."""

    def __init__(
        self,
        merge: Merge,
        size: PositiveInt | None = None,
        overlap: Annotated[float, Limits(0, 0.9)] = 0.2,
        whole: bool = True,
    ) -> None:
        """Set the tiles.

        Args:
            merge: makes one detection of those of several views.
            size: side of a tile in the image's pixels; that of the inputs by default, which shows
                the image at its own scale. An image that is no larger is not cut.
            overlap: share of a tile that its neighbour shows too, at least. Objects up to that size
                are whole in some tile.
            whole: look at the image as a whole too, for objects larger than a tile.

        Raises:
            ValueError: what it is merged by compares views of all of the image.
        """
        super().__init__(merge)
        if isinstance(merge, WeightedBoxesFusion):
            raise ValueError(
                "merge=wbf averages over views of the whole image: choose merge=nmm or nms"
            )
        self.size = size
        self.overlap = overlap
        self.whole = whole

    def of(self, height: int, width: int, image_size: int) -> list[View]:
        """Return the tiles row by row, then the whole."""
        side = self.size or image_size
        whole = View(0, 0, width, height, image_size)
        if side >= max(height, width):
            return [whole]
        tiles = [View(*tile, image_size) for tile in tiles_of(height, width, side, self.overlap)]
        return [*tiles, whole] if self.whole else tiles


class ScalesAndFlips(Views):
    """Test-time augmentation: the whole image at several scales, and mirrored."""

    def __init__(
        self, merge: Merge, scales: list[PositiveFloat] | None = None, flip: bool = True
    ) -> None:
        """Set the views.

        Args:
            merge: makes one detection of those of several views.
            scales: of the longest side of the inputs; 1 alone by default.
            flip: look at each mirrored too.
        """
        super().__init__(merge)
        self.scales = scales or [1.0]
        self.flip = flip

    def of(self, height: int, width: int, image_size: int) -> list[View]:
        """Return the scales, each mirrored after as it is."""
        sizes = (max(round(image_size * scale), 1) for scale in self.scales)
        mirrored = (False, True) if self.flip else (False,)
        views = [View(0, 0, width, height, size, flip) for size in sizes for flip in mirrored]
        return [*dict.fromkeys(views)]


def _inner_borders(views: Sequence[View], size: tuple[int, int]) -> Tensor:
    """Return within which x1, y1, x2, y2 a border of the view cuts nothing off, (V, 4)."""
    height, width = size
    borders = []
    for left, top, right, bottom, *_ in views:
        x, y = _NEAR * (right - left), _NEAR * (bottom - top)
        borders.append(
            [
                left + x if left else -math.inf,
                top + y if top else -math.inf,
                right - x if right < width else math.inf,
                bottom - y if bottom < height else math.inf,
            ]
        )
    return torch.tensor(borders)


def _inside(boxes: Tensor, borders: Tensor) -> Tensor:
    """Tell which boxes (N, 4) lie within which borders (V, 4): (N, V) bool."""
    begin, end = boxes[:, None, :2] >= borders[:, :2], boxes[:, None, 2:] <= borders[:, 2:]
    return (begin & end).all(dim=-1)
