"""How large a batch may be (`data.batch_size=auto`), from what trials of steps say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

AUTO = "auto"
"""A batch size that a run finds for itself before it begins."""

USED = 0.9
"""Share of the free memory that a step may take: other batches may need more than those tried."""

MEASURED = 3
"""Smallest sizes, on which the memory of larger ones is foreseen."""


def batch_sizes(nominal: int, devices: int, images: int) -> list[int]:
    """Return the batches, rising, of which a whole number makes the recipe's update.

    Args:
        nominal: images of an update.
        devices: that share them.
        images: of the training, which must give each device a batch.

    Returns:
        Images of a batch on one device; 1 at least.
    """
    share = max(nominal // devices, 1)
    most = max(min(share, images // devices), 1)
    return [size for size in range(1, most + 1) if share % size == 0]


def largest_tried(sizes: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """Return the last of rising sizes before the first that does not fit; None: none fits."""
    return max(takewhile(fits, sizes), default=None)


def largest_foreseen(sizes: Sequence[int], peak: Callable[[int], float], room: float) -> int | None:
    """Return the largest of rising sizes that fits by the growth of the smallest ones.

    Where memory runs out, a CPU's system ends processes, perhaps others than this: what is too
    large must not be tried.

    Args:
        sizes: of which the first three are measured.
        peak: bytes in use at most in steps of that size.
        room: bytes.
    """
    measured: dict[int, float] = {}
    for size in sizes[:MEASURED]:
        measured[size] = peak(size)
        if measured[size] > room:
            break
    *others, last = measured
    growth = max(((measured[last] - measured[o]) / (last - o) for o in others), default=0.0)
    foreseen = {size: measured[last] + max(growth, 0.0) * (size - last) for size in sizes}
    return max((size for size in sizes if (foreseen | measured)[size] <= room), default=None)
