"""The keypoints of an image's objects, and what moving or mirroring the image does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Keypoints:
    """K keypoints of each of M objects.

    Attributes:
        values: (M, K, 3) float32: x and y in pixels, and 0 (not annotated, or not in the image:
            where it lies means nothing), 1 (hidden) or 2 (visible). K is 0 where objects have none.
        mirrored: (K,) int64, which keypoint takes the place of each in a mirrored image.
    """

    values: np.ndarray
    mirrored: np.ndarray

    @classmethod
    def none(cls, objects: int) -> Keypoints:
        """Return those of objects that have none."""
        return cls(np.zeros((objects, 0, 3), np.float32), np.zeros(0, np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Keypoints]) -> Keypoints:
        """Join the objects of all parts, one part after the other."""
        return parts[0].with_values(np.concatenate([part.values for part in parts]))

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.values)

    def with_values(self, values: np.ndarray) -> Keypoints:
        """Return keypoints of the same layout with other values, (M, K, 3)."""
        return Keypoints(values, self.mirrored)

    def at(self, points: np.ndarray) -> Keypoints:
        """Return the same keypoints at other places (M, K, 2), xy in pixels."""
        points = points.astype(np.float32, copy=False)
        return self.with_values(np.concatenate((points, self.values[..., 2:]), axis=-1))

    @property
    def points(self) -> np.ndarray:
        """Return where they are, (M, K, 2) xy in pixels."""
        return self.values[..., :2]

    def take(self, rows: np.ndarray) -> Keypoints:
        """Return the objects `rows` (N,), indices or a mask over all."""
        return self.with_values(self.values[rows])

    def within(self, height: int, width: int) -> Keypoints:
        """Return them with zeros for those outside an image of that size, or not annotated."""
        x, y, visibility = (self.values[..., i] for i in range(3))
        seen = (visibility > 0) & (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
        return self.with_values(np.where(seen[..., None], self.values, np.float32(0)))

    def flipped(self, axis: int, length: int) -> Keypoints:
        """Mirror them along x (axis 0) or y (axis 1) in an image of that length along it.

        In either mirror a left hand is a right one.
        """
        values = self.values[:, self.mirrored]
        values[..., axis] = length - values[..., axis]
        return self.with_values(values)
