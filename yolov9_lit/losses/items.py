"""One branch's loss terms, by name: the names are those they are logged under."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Items(Protocol):
    """A named tuple of scalar terms, each over its norm and times its gain."""

    def __init__(self, *terms: Tensor) -> None: ...

    @property
    def total(self) -> Tensor:
        """Sum of the terms."""
        ...

    def __iter__(self) -> Iterator[Tensor]: ...

    def _asdict(self) -> dict[str, Any]: ...


class DetectionItems(NamedTuple):
    """Terms of a detector, over the sum of target scores."""

    box: Tensor
    cls: Tensor
    dfl: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the three."""
        return self.box + self.cls + self.dfl


class SegmentationItems(NamedTuple):
    """Terms of a detector that finds masks; the masks' own is a mean over the images."""

    box: Tensor
    mask: Tensor
    cls: Tensor
    dfl: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the four."""
        return self.box + self.mask + self.cls + self.dfl


class PoseItems(NamedTuple):
    """Terms of a detector that finds keypoints; their own two are means over anchors."""

    box: Tensor
    pose: Tensor
    vis: Tensor
    cls: Tensor
    dfl: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the five."""
        return self.box + self.pose + self.vis + self.cls + self.dfl


class ExtraItems(NamedTuple):
    """Terms of a detector that finds extra numbers, over the sum of target scores."""

    box: Tensor
    extra: Tensor
    cls: Tensor
    dfl: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the four."""
        return self.box + self.extra + self.cls + self.dfl


class AnchorItems(NamedTuple):
    """Terms of a detector with anchors and objectness: sums over the levels of means."""

    box: Tensor
    obj: Tensor
    cls: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the three."""
        return self.box + self.obj + self.cls
