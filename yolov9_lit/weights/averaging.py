"""The average of several checkpoints of one training, or of several from the same start.

Averaged weights lie in a wider and often better optimum than each alone (stochastic weight
averaging, Izmailov et al., arXiv 1803.05407; model soups, Wortsman et al., arXiv 2203.05482).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.weights.checkpoints import Checkpoint


def average(checkpoints: Mapping[Path, Checkpoint]) -> Checkpoint:
    """Return the mean of checkpoints, with the card of the first.

    Batch normalisation's running means and variances are averaged like weights, which is close to
    those of the averaged weights where the files are neighbours in a training.

    Args:
        checkpoints: as trained, by path; at least one.

    Raises:
        UserError: one is deployed, or of another model, classes or input size than the first.
    """
    (first, one), *others = checkpoints.items()
    for path, other in checkpoints.items():
        if other.deployed:
            raise UserError(f"{path} is deployed: average checkpoints as trained, then deploy.")
    for path, other in others:
        unlike = [
            name
            for name in ("model", "class_names", "image_size", "keypoints", "choice")
            if getattr(other.card, name) != getattr(one.card, name)
        ]
        if unlike or _shapes(other.weights) != _shapes(one.weights):
            told = ", ".join(unlike) or "tensors"
            raise UserError(
                f"{path} and {first} cannot be averaged, they differ in {told}: give checkpoints "
                "of one training."
            )
    files = [checkpoint.weights for checkpoint in checkpoints.values()]
    return one._replace(weights={name: _mean([w[name] for w in files]) for name in files[0]})


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """Return the mean of numbers, and the last of counts."""
    if not tensors[0].is_floating_point():
        return tensors[-1]
    return torch.stack(list(tensors)).double().mean(dim=0).to(tensors[0].dtype)
