"""Which of the processes that train together this one is."""

from __future__ import annotations

from lightning_utilities.core.rank_zero import rank_zero_only


def is_first_rank() -> bool:
    """Return whether this process is the one that reports and records.

    Lightning sets the rank when it is imported; a process without it is alone.
    """
    return getattr(rank_zero_only, "rank", 0) == 0
