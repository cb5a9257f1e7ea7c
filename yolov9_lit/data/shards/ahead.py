"""Fetching the next window's shards while the present one is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from yolov9_lit.data.shards.pictures import ShardPictures

_THREADS = 2


class FetchAhead:
    """Fetches announced shards in the background.

    What cannot be fetched is left to the process that reads it, which tells the user.
    """

    def __init__(self, pictures: ShardPictures) -> None:
        """Set the shards; threads begin with the first announcement."""
        self.pictures = pictures
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch-ahead")
        self._pending: list[Future] = []

    def __call__(self, shards: Sequence[int]) -> None:
        """Fetch shards; those announced before and not yet begun are given up."""
        for future in self._pending:
            future.cancel()
        names = [self.pictures.shards[s] for s in shards]
        self._pending = [self._threads.submit(self.pictures.files.local, name) for name in names]
