"""How much PGI's auxiliary branches count in the course of a training, and in which part of it."""

from __future__ import annotations

from dataclasses import dataclass

from yolov9_lit.kinds import Share
from yolov9_lit.training.schedules import Decay, decayed


@dataclass(frozen=True)
class AuxiliarySchedule:
    """A factor on the weights of the auxiliary branches, by epoch.

    Outside of its window the branches are not computed: they cost nothing, and their parameters,
    statistics and optimiser state stay as they are.

    Attributes:
        decay: of the factor within the window, from 1: "constant" as published, "linear", "cosine".
        final_factor: the factor that a decay leads to.
        start: share of the epochs after which the branches begin to teach.
        end: share of the epochs after which they are dropped.
        detach: share of the epochs after which they still learn, assign and distil, but their
            gradient stops at the maps of backbone and neck that they read.
    """

    decay: Decay = "constant"
    final_factor: Share = 0.0
    start: Share = 0.0
    end: Share = 1.0
    detach: Share = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError where the window is empty."""
        if self.start >= self.end:
            raise ValueError(f"start is {self.start}, it must be less than end, {self.end}")

    @property
    def always(self) -> bool:
        """Whether the branches are computed in every epoch."""
        return self.start == 0 and self.end == 1

    def at(self, epoch: int, epochs: int) -> float:
        """Return the factor, in 0..1, for an epoch, counted from 0, of a training of `epochs`."""
        progress = epoch / epochs
        if not self.start <= progress < self.end:
            return 0.0
        return decayed(
            self.decay, (progress - self.start) / (self.end - self.start), self.final_factor
        )

    def detached(self, epoch: int, epochs: int) -> bool:
        """Return whether the gradient stops in an epoch, counted from 0, of `epochs`."""
        return epoch / epochs >= self.detach

    def __str__(self) -> str:
        """Say it in a few words; nothing of one that changes nothing."""
        parts = [] if self.decay == "constant" else [f"falling to {self.final_factor:g}"]
        if self.start:
            parts.append(f"from {100 * self.start:g} % of the epochs")
        if self.end < 1:
            parts.append(f"until {100 * self.end:g} % of the epochs")
        if self.detach < 1:
            parts.append(f"detached from {100 * self.detach:g} % of the epochs")
        return ", ".join(parts)
