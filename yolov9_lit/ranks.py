"""Which of the processes that train together this one is."""

from __future__ import annotations

from lightning_utilities.core.rank_zero import rank_zero_only


def is_first_rank() -> bool:
    """Whether this process is the one, of those that train together, that tells and records.

    Lightning sets the rank when it is imported; a process without it is alone.
    """
    return getattr(rank_zero_only, "rank", 0) == 0
