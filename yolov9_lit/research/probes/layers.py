"""The layers of a backbone through which everything passes on its way from the image to P5.

Inside a block with a shortcut no single tensor holds what is passed on. A *cut* is a tensor that
every path from the image to P5 runs through: along cuts information can only be lost (the paper's
equation 1). They are found by running the backbone, so a user's own is probed as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

LAYERS = (torch.conv2d, F.linear)
"""What counts as a layer."""


class Layer(NamedTuple):
    """A tensor on the way to P5.

    Attributes:
        name: "P1" to "P5" of a backbone's outputs, else "layer DEPTH".
        depth: convolutions on the longest path from the image to it.
        step: number of the operation that gives it, in the order of running.
    """

    name: str
    depth: int
    step: int


class _Graph(TorchFunctionMode):
    """Notes which operation reads the outcomes of which others."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.steps: dict[Tensor, int] = {image: 0}  # Holds the tensors, so that ids stay theirs.
        self.sources: list[list[int]] = [[]]
        self.depths = [0]
        self.whole = [True]  # Whether the outcome is one tensor; parts of one are not it.

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        read = sorted({self.steps[t] for t in _tensors((args, kwargs)) if t in self.steps})
        result = func(*args, **(kwargs or {}))
        self.sources.append(read)
        self.depths.append(max((self.depths[s] for s in read), default=0) + (func in LAYERS))
        self.whole.append(isinstance(result, Tensor))
        for tensor in _tensors(result):
            self.steps[tensor] = len(self.sources) - 1
        return result


class _Watch(TorchFunctionMode):
    """Hands the outcomes of some operations to a function."""

    def __init__(self, wanted: dict[int, Layer], see: Callable[[Layer, Tensor], None]) -> None:
        super().__init__()
        self.wanted, self.see, self.step = wanted, see, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.step += 1
        if self.step in self.wanted:
            self.see(self.wanted[self.step], _tensors(result)[0])
        return result


@torch.no_grad()
def find_layers(backbone: nn.Module, image: Tensor) -> list[Layer]:
    """Return the outputs P1 to P5, and between them the last cut of each depth.

    Args:
        backbone: gives a BackboneOutput.
        image: (B, C, H, W), small.
    """
    graph = _Graph(image)
    with graph:
        outputs = backbone(image).main
    levels = {graph.steps[output]: f"P{i}" for i, output in enumerate(outputs, start=1)}
    steps = _cuts(graph.sources, graph.steps[outputs[-1]])
    cuts = {graph.depths[s]: s for s in steps if graph.whole[s]}
    known = {0, *(graph.depths[s] for s in levels)}
    steps = sorted({*levels, *(s for depth, s in cuts.items() if depth not in known)})
    return [Layer(levels.get(s, f"layer {graph.depths[s]}"), graph.depths[s], s) for s in steps]


@torch.no_grad()
def watch_layers(
    backbone: nn.Module,
    images: Tensor,
    layers: list[Layer],
    see: Callable[[Layer, Tensor], None],
) -> None:
    """Run a backbone, and hand each layer's (B, C, h, w) to `see` as it is computed."""
    with _Watch({layer.step: layer for layer in layers}, see):
        backbone(images)


def thinned(layers: list[Layer], most: int) -> list[Layer]:
    """Return the outputs P1 to P5, and of the others at most so many, evenly spread."""
    others = [layer for layer in layers if not layer.name.startswith("P")]
    every = max(-(-len(others) // most), 1) if most else len(others) + 1
    kept = set(others[every - 1 :: every])
    return [layer for layer in layers if layer.name.startswith("P") or layer in kept]


def _cuts(sources: list[list[int]], last: int) -> list[int]:
    """Return the steps that no path from step 0 to the last one goes round.

    Args:
        sources: of each step the earlier ones whose outcomes it reads.
        last: where the paths end.
    """
    needed = {last}
    for step in range(last, 0, -1):
        if step in needed:
            needed.update(sources[step])
    reach = 0  # The latest step that reads something from before.
    found = []
    readers = {s: [step for step in needed if s in sources[step]] for s in needed}
    for step in sorted(needed):
        if reach <= step:
            found.append(step)
        reach = max([reach, *readers[step]])
    return found


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
