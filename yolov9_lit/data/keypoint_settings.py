"""What a config says of a data set's keypoints in place of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from yolov9_lit.checks import check_fields
from yolov9_lit.data.coco.keypoint_layout import fault_of
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.kinds import Count, PositiveFloat, Words
from yolov9_lit.structures import KeypointLayout

Edges = Annotated[
    Sequence[tuple[Count, Count]], Words("a list of pairs of keypoints, from 0: [[0,1],[1,2]]")
]


_LISTED = "data whose categories list `keypoints` (in YOLO's format, a data.yaml with `kpt_shape`)"


@dataclass(frozen=True, kw_only=True)
class KeypointSettings:
    """What a task that finds keypoints takes in place of what the data says of them.

    Attributes:
        sigmas: how far from the true place each may lie, as a share of the object's size.
        mirrored: which keypoint, from 0, takes the place of each in a mirrored image.
        edges: pairs of keypoints, from 0, that a drawn skeleton joins.
    """

    sigmas: Sequence[PositiveFloat] | None = None
    mirrored: Sequence[Count] | None = None
    edges: Edges | None = None

    @property
    def wanted(self) -> str:
        """Say what needs keypoints, and what to do where there are none."""
        return f"task=pose learns: give {_LISTED}, or task=detect"

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_fields(self, "data.keypoints.")

    def applied(self, layout: KeypointLayout) -> KeypointLayout:
        """Return a data set's layout with these settings in it.

        Raises:
            UserError: they do not fit its keypoints.
        """
        if self.sigmas is not None:
            layout = layout._replace(sigmas=tuple(map(float, self.sigmas)))
        if self.mirrored is not None:
            layout = layout._replace(mirrored=tuple(self.mirrored))
        if self.edges is not None:
            layout = layout._replace(edges=tuple((a, b) for a, b in self.edges))
        if fault := fault_of(layout):
            raise UserError(
                f"data.keypoints.{fault}: give it for {', '.join(layout.names)}, in this order."
            )
        return layout


@dataclass(frozen=True, kw_only=True)
class KeypointsOfModel(KeypointSettings):
    """What the keypoints are that a model finds, for data that it is measured on.

    Attributes:
        names: of the keypoints.
        source: the model's file, for messages.
    """

    names: Sequence[str]
    source: str

    @property
    def wanted(self) -> str:
        """Say what needs keypoints, and what to do where there are none."""
        return f"{self.source} finds: evaluate on {_LISTED}"

    def applied(self, layout: KeypointLayout) -> KeypointLayout:
        """Return the model's layout for data with the same keypoints.

        Raises:
            UserError: the data has others.
        """
        if tuple(self.names) != layout.names:
            raise UserError(
                f"{self.source} finds other keypoints than the data has "
                f"({self._difference(layout)}): evaluate on data of the same keypoints."
            )
        return super().applied(layout)

    def _difference(self, layout: KeypointLayout) -> str:
        lacking = [name for name in self.names if name not in layout.names]
        further = [name for name in layout.names if name not in self.names]
        told = [f"the data lacks {first_few(lacking)}"] * bool(lacking)
        told += [f"it has {first_few(further)} besides"] * bool(further)
        return ", and ".join(told) or "their order differs"
