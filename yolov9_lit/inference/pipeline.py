"""Stages that work at the same time: each iterates in a thread of its own, a little ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

_END: Final = object()


def ahead(items: Iterable[T], most: int) -> Generator[T, None, None]:
    """Iterate in a thread, at most `most` items ahead of who takes them.

    Decoding, encoding and the network leave Python's lock alone, so stages that are iterators of
    each other work beside each other. The order is kept; an error of the items is raised where
    the item would have been. Who stops early waits for the one item that is being made.

    Args:
        items: may be made by another stage.
        most: items that are made or being made and not yet taken, >= 1.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, iterator, _END) for _ in range(most))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, iterator, _END))
                yield item  # type: ignore[misc]  # mypy does not part the marker from T.
        finally:
            for future in waiting:
                future.cancel()
