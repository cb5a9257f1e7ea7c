"""One kind of corruption at one severity, the same for an image wherever it is read."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for news
import cv2
import numpy as np
from albumentations.augmentations.geometric.distortion import BaseDistortion

from yolov9_lit.data.corruptions.warp import Warp
from yolov9_lit.data.transforms.albumentations import AnyTransform, is_spatial
from yolov9_lit.errors import UserError

SEVERITIES = range(1, 6)

_LEAST_SIDE = 32  # Pixels: some transforms fail on less.


@dataclass(frozen=True, eq=False)
class Corruption:
    """What is done to each image of an evaluation before it is letterboxed.

    What is random follows from the kind and the image's id alone, not from the severity: the grains
    of a kind's severities lie at the same places.

    Attributes:
        kind: its name.
        severity: 1 to 5.
        transform: is applied whatever its probability; one that moves pixels is an albumentations
            distortion.
    """

    kind: str
    severity: int
    transform: AnyTransform

    def __post_init__(self) -> None:
        """Refuse what moves pixels so that boxes cannot follow."""
        if is_spatial(self.transform) and not self.moves:
            raise UserError(
                f"corruption {self.kind} moves pixels by {type(self.transform).__name__}, which "
                "boxes cannot follow: give a transform of pixels' values or one distortion, a "
                "subclass of albumentations' BaseDistortion."
            )

    @property
    def moves(self) -> bool:
        """Return whether objects move."""
        return isinstance(self.transform, BaseDistortion)

    def image(self, image: np.ndarray, image_id: int) -> np.ndarray:
        """Return an image corrupted, see `apply`."""
        return self.apply(image, image_id)[0]

    def warp(self, height: int, width: int, image_id: int) -> Warp:
        """Return how the pixels of an image are moved; only where they are, see `moves`."""
        _, warp = self.apply(np.zeros((height, width, 3), dtype=np.uint8), image_id)
        assert warp is not None
        return warp

    def apply(self, image: np.ndarray, image_id: int) -> tuple[np.ndarray, Warp | None]:
        """Return an image (H, W, 3) uint8 RGB corrupted, of the same size, and how pixels moved.

        Raises:
            UserError: the transform does not keep the size.
        """
        self._seed(image_id)
        height, width = image.shape[:2]
        given = image
        if not self.moves and min(height, width) < _LEAST_SIDE:
            below, right = (max(_LEAST_SIDE - side, 0) for side in (height, width))
            given = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        changed = self.transform(image=given, force_apply=True)["image"]
        if changed.shape != given.shape or changed.dtype != np.uint8:
            raise UserError(
                f"corruption {self.kind} makes {changed.shape} {changed.dtype} of an image of "
                f"{given.shape} uint8: give a transform that keeps size and type."
            )
        corrupted = np.ascontiguousarray(changed[:height, :width])
        if not self.moves:
            return corrupted, None
        maps = self.transform.params
        return corrupted, Warp(maps["map_x"], maps["map_y"])

    def _seed(self, image_id: int) -> None:
        kind = zlib.crc32(self.kind.encode())
        words = np.random.SeedSequence((kind, image_id % 2**64)).generate_state(1)
        self.transform.set_random_seed(int(words[0]))
