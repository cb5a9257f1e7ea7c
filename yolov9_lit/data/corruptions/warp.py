"""Where the objects of an image go when a distortion moves its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from yolov9_lit.data.annotations import ImageObjects
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.sample import clipped

_STEP = 4.0  # Pixels between the points of a side that is moved.
_ROUNDS = 30
_FOUND = 0.5  # Pixels by which a point that was found may be off: beyond, it is not in the image.


@dataclass(frozen=True, eq=False)
class Warp:
    """A distortion: pixel (x, y) of the new image shows (map_x, map_y) of the old one.

    Attributes:
        map_x: (H, W) float32, in indices of pixels, as `cv2.remap` takes them.
        map_y: the same.
    """

    map_x: np.ndarray
    map_y: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Return the height and width of the image, which it keeps."""
        height, width = self.map_x.shape
        return height, width

    def points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find where points are in the new image.

        The distortion is inverted by iteration, which ends at the place where it is free of folds.

        Args:
            points: (P, 2) xy in pixels; the centre of the first pixel is at (0.5, 0.5).

        Returns:
            (P, 2) float32, and whether (P,) each was found: others are not in the new image.
        """
        wanted = np.asarray(points, dtype=np.float32).reshape(-1, 2) - 0.5
        place = wanted.copy()
        for _ in range(_ROUNDS):
            place += wanted - self._shown_at(place)
        found = (np.abs(wanted - self._shown_at(place)) <= _FOUND).all(axis=1)
        return place + 0.5, found

    def _shown_at(self, place: np.ndarray) -> np.ndarray:
        """Return what the new image shows at places (P, 2); beyond its edge it goes on as there."""
        if not len(place):
            return place
        height, width = self.size
        inside = np.clip(place, 0, [width - 1, height - 1]).astype(np.float32)
        columns = np.array_split(inside, len(inside) // 30_000 + 1)  # cv2.remap has short sides.
        shown = [
            np.stack([_bilinear(m, part) for m in (self.map_x, self.map_y)], axis=1)
            for part in columns
        ]
        return np.concatenate(shown) + (place - inside)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Move a mask (H, W) uint8, pixel by pixel."""
        return cv2.remap(mask, self.map_x, self.map_y, cv2.INTER_NEAREST)

    def objects(self, objects: ImageObjects) -> ImageObjects:
        """Move objects; they stay as many.

        A box goes where its object's outline goes: each side by as much as that side of the
        outline. Without an outline it encloses its own four sides as they are bent. Keypoints that
        leave the image are no longer annotated.
        """
        dense = objects.polygons.dense(_STEP)
        keypoints = objects.keypoints.values
        places, seen = self.points(keypoints[..., :2])
        moved = objects.keypoints.at(places.reshape(keypoints[..., :2].shape)).values
        moved = np.where(seen.reshape(keypoints.shape[:2])[..., None], moved, np.float32(0))
        return objects._replace(
            boxes=self._boxes(objects.boxes, objects.polygons),
            polygons=dense.at(self.points(dense.points)[0]),
            keypoints=Keypoints(moved, objects.keypoints.mirrored).within(*self.size),
        )

    def _boxes(self, boxes: np.ndarray, polygons: FlatPolygons) -> np.ndarray:
        """Move boxes (K, 4) xyxy of objects that have these outlines, or none."""
        corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        outlines = FlatPolygons.pack(
            known or [corner] for known, corner in zip(polygons, corners, strict=True)
        ).dense(_STEP)
        before, _ = outlines.bounds()
        after, _ = outlines.at(self.points(outlines.points)[0]).bounds()
        return clipped((boxes + (after - before)).astype(np.float32), *self.size)


def _bilinear(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    x, y = (np.ascontiguousarray(places[None, :, axis]) for axis in (0, 1))
    return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
