"""The images that tell the ranges of an int8 file's activations, and what is kept of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolov9_lit.data.images import has_image_ending, read_image
from yolov9_lit.data.letterbox import evaluation_letterbox, fitted_size, prediction_shape
from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.format import CalibrationRecord, InputShape


@dataclass(frozen=True)
class Calibration:
    """Images as the network gets them.

    Attributes:
        paths: of the images.
        image_size: longest side in pixels.
        shape: of the file's input.
    """

    paths: Sequence[Path]
    image_size: int
    shape: InputShape

    def __iter__(self) -> Iterator[np.ndarray]:
        """Give each image letterboxed as for a prediction: (B, 3, H, W) float32 in 0..1.

        B is 1; a file of a fixed batch gets the image as often as it takes.
        """
        for path in self.paths:
            image = read_image(path)
            size = image.shape[:2]
            fixed = self.shape.image
            shape = fixed or prediction_shape(size, self.image_size)
            longest = fitted_size(size, fixed) if fixed else self.image_size
            boxed, _ = evaluation_letterbox(image, shape, longest)
            one = boxed.transpose(2, 0, 1)[None].astype(np.float32) / 255
            yield one.repeat(self.shape.batch or 1, axis=0)


def draw_images(folder: Path, count: int, seed: int) -> list[Path]:
    """Draw some of a folder's images, without those in its own folders; all if there are no more.

    Raises:
        UserError: there is none.
    """
    paths = np.array(sorted(path for path in folder.iterdir() if has_image_ending(path)))
    if not len(paths):
        raise UserError(f"There is no image in calibration={folder}: give a folder of images.")
    return sorted(np.random.default_rng(seed).permutation(paths)[:count])


def record_of(paths: Sequence[Path], seed: int) -> CalibrationRecord:
    """Return what is kept of drawn images."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return CalibrationRecord(paths[0].parent.name, len(paths), seed, digest.hexdigest())
