"""Statistics of batch normalisation, estimated anew for weights that they lag behind.

"PreciseBN": Wu and Johnson, Rethinking "Batch" in BatchNorm (arXiv 2105.07576, section 3). A short
training's running averages (momentum 0.03) are those of weights that it had tens of updates ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from yolov9_lit.inference.images import unit_range


def trained_norms(module: nn.Module) -> list[_BatchNorm]:
    """Return the layers of a module whose running averages its training moves: no frozen ones."""
    return [
        layer
        for layer in module.modules()
        if isinstance(layer, _BatchNorm) and layer.training and layer.track_running_stats
    ]


def estimate(module: nn.Module, norms: Sequence[_BatchNorm], batches: Iterable[Tensor]) -> None:
    """Replace layers' statistics by the mean over batches of what each batch has.

    That is `torch.optim.swa_utils.update_bn`, but all other layers stay as in evaluation: no
    random number is drawn, and frozen statistics remain.

    Args:
        module: called on each batch; in evaluation mode.
        norms: layers of it.
        batches: images (B, C, H, W), uint8 0..255 or float 0..1, at least one batch.
    """
    with torch.no_grad(), _averaging(norms):
        for images in batches:
            module(unit_range(images))


@contextmanager
def _averaging(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Make layers count all batches alike, from none on."""
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        # Compiled parts would be compiled again, for layers in either mode.
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
            norm.eval()
