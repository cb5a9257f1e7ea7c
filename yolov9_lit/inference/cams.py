"""Class-activation maps: which cells of a feature map a score comes from.

Each takes one map (C, h, w) of an image and, if it uses it, the gradient of a score by the map, and
gives a heat (h, w) >= 0. The package grad-cam (MIT) has these formulas too; it would bring
dependencies of its own (ttach, scikit-learn), and is made for a classifier's output and for layers
that give one map, where a detector's score is one anchor's and its head reads three maps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor


class Cam(ABC):
    """A way to turn maps and gradients into heat.

    Attributes:
        uses_gradients: whether the heat depends on the score; otherwise the gradients are zeros.
        words: what the heat of a map is, as a caption tells it.
    """

    uses_gradients: ClassVar[bool] = True
    words: ClassVar[str]

    @abstractmethod
    def __call__(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Return the heat (h, w) >= 0 of one map and the score's gradient by it, both (C, h, w)."""


class LayerCam(Cam):
    """Each value by its own positive gradient: keeps the place (LayerCAM, Jiang et al. 2021)."""

    words = (
        "sum over a map's channels of each value times its own gradient of the score, where that "
        "is positive (LayerCAM)"
    )

    def __call__(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Return relu(sum over channels of relu(gradient) * activation)."""
        return (gradient.relu() * activation).sum(dim=0).relu()


class GradCam(Cam):
    """Each channel by its mean gradient, everywhere (Grad-CAM, arXiv 1610.02391, equation 2).

    A detection's gradient is local, and its mean over the map is applied to the whole map: the
    heat is also on other places that look like the detection.
    """

    words = (
        "sum over a map's channels, each times the mean over the map of its gradient of the score "
        "(Grad-CAM), so that places far from the detection can be hot, too"
    )

    def __call__(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Return relu(sum over channels of mean gradient * activation)."""
        return (gradient.mean(dim=(1, 2), keepdim=True) * activation).sum(dim=0).relu()


class EigenCam(Cam):
    """What dominates a map, without gradients (EigenCAM, arXiv 2008.00299).

    The map's values projected on their first right singular vector; the same for every detection.
    The vector's sign is free: it is the one that makes the mean heat positive. Each map's largest
    heat is 1, as the levels have no common unit.
    """

    uses_gradients = False
    words = (
        "projection of a map's values on their first singular vector (EigenCAM): what dominates "
        "the map, the same for every detection"
    )

    def __call__(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Return relu of the projection (h, w)."""
        cells = activation.flatten(1).T
        _, _, right = torch.linalg.svd(cells, full_matrices=False)
        projected = cells @ right[0]
        heat = (projected * projected.sum().sign()).relu().view(activation.shape[1:])
        return heat / heat.max().clamp(min=torch.finfo(heat.dtype).tiny)
