"""Which samples make a batch, on which rank."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import Sampler

from yolov9_lit.data.dataset import EvalKey, TrainKey
from yolov9_lit.data.letterbox import evaluation_shape
from yolov9_lit.data.repeat_factors import epoch_length, repeats


@dataclass(eq=False)
class EpochSampler(Sampler[TrainKey], ABC):
    """A shuffled epoch of training keys, an equal share for each rank, from any point of it on.

    Every image comes once an epoch, or as often as a subclass repeats it; where the ranks' shares
    would differ by one, some come once more. Lightning tells the epoch by `set_epoch`. The epoch is
    cut into pools: images that follow each other are mixed with each other alone, so that a cache
    of a pool's size spares decoding them again.

    Attributes:
        count: number of images.
        seed: of the shuffling.
        closing_from_epoch: first epoch without the transforms that close; None for never.
        rank: the rank that gets these keys.
        world_size: number of ranks.
        pool: number of images that are mixed with each other; None for all that are shuffled
            together.
        epoch: that the next iteration gives.
    """

    count: int
    seed: int
    closing_from_epoch: int | None = None
    rank: int = 0
    world_size: int = 1
    pool: int | None = None
    epoch: int = field(default=0, init=False)
    _skipped: int = field(default=0, init=False)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self.epoch = epoch

    def skip(self, keys: int) -> None:
        """Leave out that many of the next iteration's first keys."""
        self._skipped = keys

    def __len__(self) -> int:
        """Return the number of keys of this rank in a whole epoch."""
        return math.ceil(self.drawn / self.world_size)

    @property
    def drawn(self) -> int:
        """Number of images of an epoch, repeats counted."""
        return self.count

    def __iter__(self) -> Iterator[TrainKey]:
        """Yield this rank's keys."""
        epoch, skipped, self._skipped = self.epoch, self._skipped, 0
        closing = self.closing_from_epoch is not None and epoch >= self.closing_from_epoch
        size = self.pool or self.count
        for stretch in self._stretches(epoch, skipped):
            last_whole = max(len(stretch) - size, 0)  # A smaller last pool borrows.
            for start in range(0, len(stretch), size):
                pool = stretch[start : start + size]
                partners = [n % self.count for n in stretch[min(start, last_whole) :][:size]]
                for draw in pool[skipped:]:
                    repeat, image = divmod(draw, self.count)
                    yield TrainKey(image, epoch, closing, partners, repeat)
                skipped = max(skipped - len(pool), 0)

    def layout(self) -> dict[str, int]:
        """Return what decides the order of the images, under the names that checkpoints have."""
        return {
            "pictures": self.drawn,
            "ranks": self.world_size,
            "as seed of the data": self.seed,
        }

    @abstractmethod
    def _stretches(self, epoch: int, skipped: int) -> Iterator[list[int]]:
        """Yield this rank's images in their order, those together that are shuffled together.

        Image i is i; where it comes again it is i + `count`, then i + 2 * `count`. The first
        `skipped` images will not be read.
        """


@dataclass(eq=False)
class TrainSampler(EpochSampler):
    """Shuffles all images; the ranks take turns.

    Attributes:
        factors: (count,) how often each image comes on average, see `repeat_factors`; None: once.
    """

    factors: np.ndarray | None = None

    @property
    def drawn(self) -> int:
        """See `EpochSampler`."""
        return self.count if self.factors is None else epoch_length(self.factors)

    def _stretches(self, epoch: int, skipped: int) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, epoch))
        draws = np.arange(self.count)
        if self.factors is not None:
            times = repeats(self.factors, rng)
            before = np.cumsum(times) - times
            repeat = np.arange(self.drawn) - np.repeat(before, times)
            draws = np.repeat(draws, times) + repeat * self.count
        order = rng.permutation(draws)
        shares = np.resize(order, len(self) * self.world_size)
        yield shares[self.rank :: self.world_size].tolist()


def evaluation_batches(
    sizes: np.ndarray,
    batch_size: int,
    image_size: int,
    rank: int = 0,
    world_size: int = 1,
    shape: tuple[int, int] | None = None,
) -> list[list[EvalKey]]:
    """Return a rank's batches of images of similar aspect ratio, each image once over all ranks.

    Where there are fewer batches than ranks, the ranks left over repeat the first one, since
    Lightning wants work for each; `CocoMetric` counts an image once.

    Args:
        sizes: (N, 2) height and width of each image.
        batch_size: most images of a batch.
        image_size: longest side of an image in pixels.
        rank: of the batches.
        world_size: number of ranks; they take turns batch by batch.
        shape: (height, width) of every input; by default that of the batch's images.
    """
    order = np.argsort(sizes[:, 0] / sizes[:, 1], kind="stable")
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return [
        [
            EvalKey(int(i), *(shape or evaluation_shape(sizes[batch].tolist(), image_size)))
            for i in batch
        ]
        for batch in batches[rank::world_size] or batches[:1]
    ]


def unscaled_batches(sizes: np.ndarray, rank: int = 0, world_size: int = 1) -> list[list[EvalKey]]:
    """Return a rank's batches of one image each in its own size, see `evaluation_batches`.

    Args:
        sizes: (N, 2) height and width of each image.
        rank: of the batches.
        world_size: number of ranks.
    """
    batches = [[EvalKey(i, height, width)] for i, (height, width) in enumerate(sizes.tolist())]
    return batches[rank::world_size] or batches[:1]
