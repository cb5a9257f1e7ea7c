"""Shuffling shards: a few at a time are read, whatever the number of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from yolov9_lit.data.samplers import EpochSampler


class Window(NamedTuple):
    """Shards that are read together.

    Attributes:
        shards: their numbers.
        share: positions among all their images of those that this rank trains on.
    """

    shards: Sequence[int]
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
        """Set the shares; see `EpochSampler` for the other arguments.

        Args:
            firsts: (S + 1,) index of each shard's first image, and the number of images.
            window: most shards of a window.
            pool: number of images that are mixed with each other; None for all of a window.
            announce: is told the shards of a window when the one before it begins.
        """
        super().__init__(int(firsts[-1]), seed, closing_from_epoch, rank, world_size, pool)
        self.firsts = firsts
        self.window = window
        self.announce = announce

    def layout(self) -> dict[str, int]:
        """Return what decides the order of the images; see `EpochSampler`."""
        return {**super().layout(), "shards a window": self.window}

    def _stretches(self, epoch: int, skipped: int) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, epoch))
        windows = self._windows(rng.permutation(len(self.firsts) - 1))
        for number, window in enumerate(windows):
            order = rng.permutation(window.share)
            if skipped < len(order) and self.announce and number + 1 < len(windows):
                self.announce(windows[number + 1].shards)
            images = [np.arange(*self.firsts[shard : shard + 2]) for shard in window.shards]
            yield np.concatenate(images)[order].tolist()
            skipped = max(skipped - len(order), 0)

    def _windows(self, shards: np.ndarray) -> list[Window]:
        """Return this rank's windows over the shuffled shards, of about equally many shards."""
        begin = self.rank * self.count // self.world_size
        end = begin + len(self)  # Of two neighbours the first may end where the second begins.
        firsts = np.concatenate([[0], np.cumsum(np.diff(self.firsts)[shards])])
        first, last = np.searchsorted(firsts[1:], [begin, end - 1], side="right")
        own = np.arange(first, last + 1)
        windows = []
        for part in np.array_split(own, math.ceil(len(own) / self.window)):
            before, after = int(firsts[part[0]]), int(firsts[part[-1] + 1])
            share = range(max(begin, before) - before, min(end, after) - before)
            windows.append(Window(shards[part].tolist(), share))
        return windows
