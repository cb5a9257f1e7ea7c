"""Which samples make a batch, on which rank."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from yolov9_lit.data.dataset import EvalKey, TrainKey
from yolov9_lit.data.letterbox import evaluation_shape


class TrainSampler(Sampler[TrainKey]):
    """A shuffled epoch of training keys, an equal share for each rank.

    Every picture comes once an epoch; where the ranks' shares would differ by one, some of the
    first come twice. Lightning tells the epoch by `set_epoch`.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        closing_from_epoch: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Set the shares.

        Args:
            count: number of pictures.
            seed: of the shuffling.
            closing_from_epoch: first epoch without the transforms that close; None for never.
            rank: whose share.
            world_size: number of ranks.
        """
        self.count = count
        self.seed = seed
        self.closing_from_epoch = closing_from_epoch
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of keys of this rank."""
        return math.ceil(self.count / self.world_size)

    def __iter__(self) -> Iterator[TrainKey]:
        """Give this rank's keys."""
        epoch = self.epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(self.count)
        shares = np.resize(order, len(self) * self.world_size)
        closing = self.closing_from_epoch is not None and epoch >= self.closing_from_epoch
        for index in shares[self.rank :: self.world_size].tolist():
            yield TrainKey(index, epoch, closing)


class AspectRatioBatchSampler(Sampler[list[EvalKey]]):
    """Batches of pictures of similar aspect ratio, each picture once over all ranks.

    Where there are fewer batches than ranks, the ranks left over repeat the first one, since
    Lightning wants work for each; `CocoMetric` counts a picture once.
    """

    def __init__(
        self,
        sizes: np.ndarray,
        batch_size: int,
        image_size: int,
        rank: int = 0,
        world_size: int = 1,
        shape: tuple[int, int] | None = None,
    ) -> None:
        """Set the batches.

        Args:
            sizes: (N, 2) height and width of each picture.
            batch_size: most pictures of a batch.
            image_size: longest side of a picture in pixels.
            rank: whose batches.
            world_size: number of ranks; they take turns batch by batch.
            shape: (height, width) of every input; by default that of the batch's pictures.
        """
        order = np.argsort(sizes[:, 0] / sizes[:, 1], kind="stable")
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        self.batches = [
            [
                EvalKey(int(i), *(shape or evaluation_shape(sizes[batch].tolist(), image_size)))
                for i in batch
            ]
            for batch in batches[rank::world_size] or batches[:1]
        ]

    def __len__(self) -> int:
        """Number of batches of this rank."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[EvalKey]]:
        """Give this rank's batches."""
        return iter(self.batches)
