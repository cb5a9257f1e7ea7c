"""Shuffling shards: a few at a time are read, whatever the number of images."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.samplers import EpochSampler


class Spans:
    """Ranges one after the other, as one sequence that takes no memory for their numbers."""

    def __init__(self, ranges: Iterable[range]) -> None:
        """Join them."""
        self.ranges = tuple(ranges)
        self._ends = list(accumulate(map(len, self.ranges), initial=0))

    def __len__(self) -> int:
        """Number of numbers."""
        return self._ends[-1]

    def __getitem__(self, position: int, /) -> int:
        """The number at a position, from 0 on."""
        part = bisect_right(self._ends, position) - 1
        return self.ranges[part][position - self._ends[part]]


class Window(NamedTuple):
    """Shards that are read together.

    Attributes:
        shards: their numbers.
        images: all images in them.
        share: positions of `images` that this rank trains on.
    """

    shards: Sequence[int]
    images: Spans
    share: range


class WindowSampler(EpochSampler):
    """Shuffles the shards, then the images within a window of some shards.

    Each rank has an equal stretch of the shuffled shards, so it reads its share of the data and,
    at the stretch's ends, two shards that it has in common with its neighbours. Images are mixed
    with others of their window alone.
    """

    def __init__(
        self,
        firsts: np.ndarray,
        window: int,
        seed: int,
        closing_from_epoch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        pool: int | None = None,
        announce: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        """Set the shares.

        Args:
            firsts: (S + 1,) index of each shard's first image, and the number of images.
            window: most shards of a window.
            seed: of the shuffling.
            closing_from_epoch: first epoch without the transforms that close; None for never.
            rank: whose share.
            world_size: number of ranks.
            pool: number of images that are mixed with each other; None for all of a window.
            announce: is told the shards of a window when the one before it begins.
        """
        super().__init__(int(firsts[-1]), seed, closing_from_epoch, rank, world_size, pool)
        self.firsts = firsts
        self.window = window
        self.announce = announce

    def layout(self) -> dict[str, int]:
        """See `EpochSampler`."""
        return {**super().layout(), "shards a window": self.window}

    def _stretches(self, epoch: int, skipped: int) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, epoch))
        windows = self._windows(rng.permutation(len(self.firsts) - 1))
        for number, window in enumerate(windows):
            order = rng.permutation(window.share)
            if skipped < len(order) and self.announce and number + 1 < len(windows):
                self.announce(windows[number + 1].shards)
            yield [window.images[position] for position in order.tolist()]
            skipped = max(skipped - len(order), 0)

    def _windows(self, shards: np.ndarray) -> list[Window]:
        """This rank's windows over the shuffled shards, of about equal numbers of shards."""
        begin = self.rank * self.count // self.world_size
        end = begin + len(self)  # Of two neighbours the first may end where the second begins.
        ends = np.cumsum(np.diff(self.firsts)[shards])
        first, last = np.searchsorted(ends, [begin, end - 1], side="right")
        own = np.arange(first, last + 1)
        windows = []
        for part in np.array_split(own, math.ceil(len(own) / self.window)):
            numbers = [int(shards[k]) for k in part]
            images = Spans(range(*map(int, self.firsts[s : s + 2])) for s in numbers)
            before = int(ends[part[-1]]) - len(images)
            share = range(max(begin - before, 0), min(end - before, len(images)))
            windows.append(Window(numbers, images, share))
        return windows
