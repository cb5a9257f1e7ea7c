"""What a detector computes on the way to its outputs: the maps of its levels."""

from __future__ import annotations

from threading import get_ident
from typing import Literal, NamedTuple, TypeAlias

from torch import Tensor

from yolov9_lit.models.detector import Detector
from yolov9_lit.models.gelan import BackboneOutput
from yolov9_lit.models.levels import at_levels, levels_of
from yolov9_lit.structures import HeadOutput

Place: TypeAlias = Literal["neck", "backbone"]
"""Which maps: those that the head reads (of an auxiliary branch, its own), or the backbone's."""


class Levels(NamedTuple):
    """One forward pass.

    Attributes:
        output: the head's.
        maps: (B, C, H / stride, W / stride), the levels that the head reads; of a backbone whose
            auxiliary branches read other maps than its neck, these too.
    """

    output: HeadOutput
    maps: tuple[Tensor, ...]


def read_levels(detector: Detector, images: Tensor, place: Place = "neck") -> Levels:
    """Run a detector whose main output is the one looked at, and keep the maps of its levels.

    Other threads may run the same detector meanwhile, as `predict` does: their maps are not kept.

    Args:
        detector: in evaluation mode; `Detector.auxiliary_alone` gives that of a branch.
        images: (B, C, H, W) in 0..1, H and W multiples of 32.
        place: see `Place`.
    """
    found: list[Tensor] = []
    thread = get_ident()

    def keep_read(module: object, inputs: tuple[tuple[Tensor, ...]]) -> None:
        if get_ident() == thread:
            found.extend(inputs[0])

    def keep_given(module: object, inputs: object, output: BackboneOutput) -> None:
        if get_ident() == thread:
            read = levels_of(detector.head.strides)
            both = (*at_levels(output.main, read), *at_levels(output.auxiliary, read))
            found.extend({id(tensor): tensor for tensor in both}.values())

    if place == "neck":
        handle = detector.head.register_forward_pre_hook(keep_read)
    else:
        handle = detector.backbone.register_forward_hook(keep_given)
    try:
        output = detector(images).main
    finally:
        handle.remove()
    return Levels(output, tuple(found))
