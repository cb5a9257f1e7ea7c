"""The levels of the pyramid that a detector's heads read; a map of level l has stride 2^l."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

LEVELS = (3, 4, 5)
"""Of the published models."""

STRIDES = (8, 16, 32)
"""Input pixels per cell at these levels."""

DEEPEST = 5
"""Last level of every backbone: images are multiples of its stride."""


def require_levels(levels: Sequence[int]) -> None:
    """Raise ValueError where heads cannot read these levels."""
    given = [*levels]
    if not given or given != [*range(given[0], given[0] + len(given))]:
        raise ValueError(f"levels are {given}, they must follow each other, as in [2, 3, 4, 5]")
    if given[0] < 2 or given[-1] > DEEPEST:
        raise ValueError(f"levels are {given}, they must be of 2 (stride 4) to 5 (stride 32)")


def levels_of(strides: Sequence[int]) -> tuple[int, ...]:
    """Return the levels of maps of these strides."""
    return tuple(stride.bit_length() - 1 for stride in strides)


def strides_of(levels: Sequence[int]) -> tuple[int, ...]:
    """Return the input pixels per cell of levels."""
    return tuple(2**level for level in levels)


def at_levels(pyramid: Sequence[Tensor], levels: Sequence[int]) -> tuple[Tensor, ...]:
    """Return the maps of levels; of a pyramid that ends with the deepest, wherever it begins."""
    return tuple(pyramid[level - DEEPEST - 1] for level in levels)
