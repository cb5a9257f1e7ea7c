"""The loader of training batches: it goes on in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
from torch.utils.data import DataLoader

from yolov9_lit.data.samplers import EpochSampler
from yolov9_lit.data.shared_array import free_memory
from yolov9_lit.errors import UserError
from yolov9_lit.structures import Batch

AHEAD = 2
"""Batches that each worker makes ahead; torch's default."""


class TrainLoader(DataLoader):
    """Batches of an `EpochSampler`; a checkpoint tells how many of the epoch have been given.

    It fetches nothing before the first batch is asked for: Lightning makes the iterator of a
    resumed run before it tells the sampler the epoch, and workers that began there would fetch
    another epoch's samples. The batches left out by a resumed run are not read either.
    """

    sampler: EpochSampler
    batch_size: int

    _given = 0
    _left_out = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Give the batches of one epoch, or what is left of it."""
        self._given, self._left_out = self._left_out, 0
        self.sampler.skip(self._given * self.batch_size)
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps; Lightning calls it on the first rank, all are equally far."""
        return {"batches": self._given % len(self), **self._layout()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next epoch begin where the one of the checkpoint was.

        Raises:
            UserError: it was in mid-epoch, and of other data, batches or ranks.
        """
        self._left_out = state["batches"]
        for name, here in self._layout().items():
            before = state.get(name)
            if self._left_out and before != here:
                words = name.replace("pictures", "images")  # As the key was called once.
                raise UserError(
                    f"The checkpoint was made in the middle of an epoch with {before} {words}, "
                    f"this run has {here}: give it {before}, or a checkpoint of the end of an epoch."
                )

    def _layout(self) -> dict[str, int]:
        return {**self.sampler.layout(), "pictures a batch": self.batch_size}


def require_memory(workers: int, batches: int, batch_bytes: int) -> None:
    """Refuses what would hang: a worker hands its batches over in shared memory, or waits for it.

    Args:
        workers: processes.
        batches: that they make in all.
        batch_bytes: of the largest one.

    Raises:
        UserError: the batches that they have ready do not fit.
    """
    free, needed = free_memory(), min(AHEAD * workers, batches) * batch_bytes
    if free is not None and free < needed:
        raise UserError(
            f"/dev/shm has {free / 1e6:,.0f} MB free, but {workers} workers hand over up to "
            f"{needed / 1e6:,.0f} MB of batches through it: give it more (in Docker "
            "--shm-size=8g), lower data.num_workers or a batch size, or give data.num_workers=0."
        )


def single_threaded(worker: int) -> None:
    """Makes OpenCV of a worker use one thread: each has one core, its threads would fight over it.

    Args:
        worker: its number, as `worker_init_fn` is given it.
    """
    cv2.setNumThreads(0)
