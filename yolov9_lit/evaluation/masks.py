"""Masks as COCO writes them: run lengths, which take a thousandth of the pixels' memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hotcoco.mask
import numpy as np

from yolov9_lit.data.coco.mask_entries import RLE

if TYPE_CHECKING:
    from torch import Tensor


def decoded(mask: RLE) -> np.ndarray:
    """Return the pixels (H, W) bool that a mask covers."""
    pixels: np.ndarray = hotcoco.mask.decode(mask)
    return pixels.astype(bool)


@dataclass(frozen=True, eq=False)
class EncodedMasks:
    """The masks of N detections in COCO's compressed run-length encoding.

    A mask is told, column by column, by how many pixels lie outside, inside, outside ... of it.

    Attributes:
        sizes: (N, 2) int64, height and width of each mask in pixels.
        counts: (N,) object, the run lengths in COCO's text, as bytes.
    """

    sizes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, masks: Tensor) -> EncodedMasks:
        """Encode masks (N, H, W) bool."""
        number, *size = masks.shape
        rles = hotcoco.mask.encode(masks.cpu().numpy().transpose(1, 2, 0)) if number else []
        return cls.packed(np.tile(size, (number, 1)), [rle["counts"] for rle in rles])

    @classmethod
    def packed(cls, sizes: np.ndarray, counts: Sequence[bytes]) -> EncodedMasks:
        """Take heights and widths (N, 2) and texts."""
        texts = np.empty(len(counts), dtype=object)
        texts[:] = counts
        return cls(np.asarray(sizes, dtype=np.int64).reshape(-1, 2), texts)

    @classmethod
    def joined(cls, parts: Sequence[EncodedMasks]) -> EncodedMasks:
        """Join the masks of all parts, one after the other."""
        none = cls.packed(np.zeros((0, 2)), [])
        return cls(
            np.concatenate([none.sizes, *(part.sizes for part in parts)]),
            np.concatenate([none.counts, *(part.counts for part in parts)]),
        )

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.counts)

    def take(self, rows: np.ndarray) -> EncodedMasks:
        """Return some of the masks.

        Args:
            rows: indices (K,), or (N,) bool.
        """
        return EncodedMasks(self.sizes[rows], self.counts[rows])

    def rles(self, rows: slice = slice(None)) -> list[RLE]:
        """Return some of them, or all, as COCO's libraries take them."""
        pairs = zip(self.sizes[rows].tolist(), self.counts[rows], strict=True)
        return [{"size": size, "counts": counts} for size, counts in pairs]

    def entries(self, rows: slice = slice(None)) -> list[RLE]:
        """Return some of them, or all, as JSON files have them."""
        return [mask | {"counts": mask["counts"].decode()} for mask in self.rles(rows)]
