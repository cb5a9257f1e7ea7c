"""Fetching the next window's shards while the present one is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from yolov9_lit.data.shards.images import ShardImages

_THREADS = 2


class FetchAhead:
    """Fetches announced shards in the background.

    What cannot be fetched is left to the process that reads it, which tells the user.
    """

    def __init__(self, images: ShardImages) -> None:
        """Set the shards; threads begin with the first announcement."""
        self.images = images
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch-ahead")
        self._pending: list[Future] = []

    def __call__(self, shards: Sequence[int]) -> None:
        """Fetch shards; those announced before and not yet begun are given up."""
        for future in self._pending:
            future.cancel()
        names = [self.images.shards[s] for s in shards]
        self._pending = [self._threads.submit(self.images.files.local, name) for name in names]
