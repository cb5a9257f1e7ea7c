"""Find by running a detector which of its parts feeds which.

The detector runs once. Every tensor is marked with the parts that it comes from: the output of a
part comes from that part, what is computed between parts (up-sampling, concatenation, sums) comes
from all of its inputs. The marks on a part's inputs are the arrows that lead to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from yolov9_lit.models.detector import Detector
from yolov9_lit.models.gelan import GELANStage
from yolov9_lit.models.head import BaseHead
from yolov9_lit.models.layers import SPPELAN, AConv, ADown, CBLinear, Conv, RepConv
from yolov9_lit.models.reversible import ReversibleColumn
from yolov9_lit.models.timm import TimmBackbone
from yolov9_lit.models.yolov7 import ELAN, SPPCSP, PooledDown

IMAGE = "image"
PARTS = (
    *(Conv, AConv, ADown, GELANStage, SPPELAN, CBLinear, BaseHead, nn.Identity),
    *(RepConv, PooledDown, ELAN, SPPCSP),
    *(ReversibleColumn, TimmBackbone),
)
"""Modules that are a part as a whole; an identity stands for a stage that a column lacks."""


@dataclass
class Part:
    """A part of a detector as it ran.

    Attributes:
        name: its path in the detector, e.g. "backbone.column.stages.2".
        module: the part.
        deployed: whether the deploy form keeps it.
        sources: names of the parts it reads, and `IMAGE`, in the order of running.
        in_size: height of the largest map it reads, in cells.
        shape: (channels, height, width) of the map it gives, of the first one of several; () of a
            head.
        shapes: of all the maps it gives.
    """

    name: str
    module: nn.Module
    deployed: bool
    sources: tuple[str, ...] = ()
    in_size: int = 0
    shape: tuple[int, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()


class _Marks(TorchFunctionMode):
    """Follows tensors through what is computed outside of parts."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: dict[Tensor, dict[str, None]] = {}  # of each an ordered set
        self.inside = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.inside:
            self.mark(result, self.sources((args, kwargs)))
        return result

    def mark(self, tensors: Any, sources: dict[str, None]) -> None:
        for tensor in _tensors(tensors):
            self.marks[tensor] = sources

    def sources(self, tensors: Any) -> dict[str, None]:
        known = [self.marks.get(tensor, {}) for tensor in _tensors(tensors)]
        return {source: None for sources in known for source in sources}


def trace(detector: Detector, image: Tensor) -> list[Part]:
    """Run a detector and return its parts in the order of running.

    Args:
        detector: any form, in evaluation mode; on the meta device nothing is computed.
        image: (B, C, H, W).
    """
    kept = set(detector.without_auxiliary().modules())
    marks = _Marks()
    ran: list[Part] = []
    handles = []
    for name, module in _parts(detector, ""):
        part = Part(name, module, module in kept)
        handles += _watch(part, marks, ran)
    try:
        marks.mark(image, {IMAGE: None})
        with torch.no_grad(), marks:
            detector(image)
    finally:
        for handle in handles:
            handle.remove()
    return ran


def losses_of(parts: Sequence[Part]) -> dict[str, frozenset[str]]:
    """Return for each part the heads whose loss trains it: those that it leads to.

    Args:
        parts: from `trace`.

    Returns:
        Names of heads by the part's name, the image's too.
    """
    heads: dict[str, frozenset[str]] = {}
    for part in reversed(parts):
        if isinstance(part.module, BaseHead):
            heads[part.name] = frozenset({part.name})
        for source in part.sources:
            found = heads.get(part.name, frozenset())
            heads[source] = heads.get(source, frozenset()) | found
    return heads


def _watch(part: Part, marks: _Marks, ran: list[Part]) -> list[Any]:
    def enter(module: nn.Module, inputs: Any) -> None:
        part.sources = tuple(marks.sources(inputs))
        marks.inside = True
        part.in_size = max(t.shape[2] for t in _tensors(inputs))

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        maps = dict.fromkeys(tensor for tensor in _tensors(output) if tensor.ndim == 4)
        part.shapes = tuple(tuple(one.shape[1:]) for one in maps)
        part.shape = part.shapes[0] if _tensors(output)[0].ndim == 4 else ()
        marks.inside = False
        marks.mark(output, {part.name: None})
        ran.append(part)

    return [part.module.register_forward_pre_hook(enter), part.module.register_forward_hook(leave)]


def _parts(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the known layers, and every other module that holds parameters of its own."""
    own = any(True for _ in module.parameters(recurse=False))
    if isinstance(module, PARTS) or own:
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from _parts(child, f"{name}.{child_name}" if name else child_name)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
