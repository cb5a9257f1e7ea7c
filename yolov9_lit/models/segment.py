"""The head of instance segmentation: mask coefficients beside boxes and classes, and prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from torch import Tensor

from yolov9_lit.kinds import PositiveInt
from yolov9_lit.models.head import Head, branches, by_anchor
from yolov9_lit.models.prototypes import PrototypesFactory, UpsampledPrototypes
from yolov9_lit.structures import MASK_STRIDE, HeadOutput


class SegmentHead(Head):
    """A head whose objects have masks, as in YOLACT (arXiv 1904.02689, section 3).

    The mask of an anchor's object is the sigmoid of its coefficients times the prototypes, inside
    its box: `masks_of` in `models.masks`.
    """

    task: ClassVar[str] = "segment"
    finds: ClassVar[tuple[str, ...]] = ("coefficients",)

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        coefficients: PositiveInt = 32,
        prototypes: PrototypesFactory = UpsampledPrototypes,
        **settings: Annotated[Any, Head],
    ) -> None:
        """Build the branches.

        With c0 the channels of the finest level, the coefficients' branch is max(c0 / 4, M) wide.

        Args:
            channels: of the feature maps.
            num_classes: C >= 1.
            coefficients: M, of an anchor; as many prototypes are made.
            prototypes: factory of what makes them of the finest level.
            settings: of `Head`.
        """
        super().__init__(channels, num_classes, **settings)
        width = max(channels[0] // 4, coefficients)
        self.coefficients = branches(channels, width, coefficients)
        scale = self.strides[0] // MASK_STRIDE
        self.prototypes = prototypes(channels[0], coefficients, scale=scale)

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Turn maps (B, channels, H / stride, W / stride) into raw outputs and prototypes."""
        return (
            super()
            .forward(features)
            ._replace(
                coefficients=by_anchor(self.coefficients, features),
                prototypes=self.prototypes(features[0]),
            )
        )
