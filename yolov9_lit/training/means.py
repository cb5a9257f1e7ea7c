"""Means over an epoch that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


class EpochMeans:
    """Means of named figures over an epoch's samples, as this process saw them.

    Lightning's own means of `self.log` are not in its checkpoints: a run that goes on in the middle
    of an epoch would log the mean of the rest.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._samples = 0

    def update(self, figures: Mapping[str, Tensor], samples: int) -> None:
        """Count a batch in.

        Args:
            figures: scalars, means over the batch; the same names each time.
            samples: how many the batch has.
        """
        for name, value in figures.items():
            term = value.detach().float() * samples
            self._sums[name] = self._sums[name].to(term) + term if name in self._sums else term
        self._samples += samples

    def compute(self) -> dict[str, float]:
        """The means; empty before the first batch."""
        return {name: float(value) / self._samples for name, value in self._sums.items()}

    def reset(self) -> None:
        """Begin an epoch."""
        self._sums, self._samples = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"sums": dict(self._sums), "samples": self._samples}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._sums = dict(state_dict["sums"])
        self._samples = state_dict["samples"]
