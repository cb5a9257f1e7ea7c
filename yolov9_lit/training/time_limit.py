"""`trainer.max_time`: the time that a training has, after which it ends with the epoch at hand.

Lightning's own ends it within an epoch and counts that as a whole one: a training that is given
more time would leave out the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Who reads records only, as prediction does, starts without Lightning.
    import lightning as L
    from lightning.pytorch.callbacks import Timer


def time_limit(max_time: str) -> Timer:
    """Return what ends a training when its time is up; checkpoints keep the time that is used.

    Args:
        max_time: days:hours:minutes:seconds of training and validation, all starts together.

    Raises:
        MisconfigurationException: it is written otherwise.
    """
    from lightning.pytorch.callbacks import Timer

    return Timer(max_time, interval="epoch", verbose=False)


def is_time_up(trainer: L.Trainer) -> bool:
    """Tell whether a training that has ended was to have more epochs, and no more time."""
    from lightning.pytorch.callbacks import Timer

    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    left = [one.time_remaining() for one in callbacks if isinstance(one, Timer)]
    up = any(seconds is not None and seconds <= 0 for seconds in left)
    return up and trainer.current_epoch < (trainer.max_epochs or 0)


def leaves_time(max_time: str | None, used: str) -> bool:
    """Tell whether a limit, None for none, leaves time where another one was used up."""
    return max_time is None or _seconds(max_time) > _seconds(used)


def _seconds(max_time: str) -> float:
    return time_limit(max_time).time_remaining() or 0.0
