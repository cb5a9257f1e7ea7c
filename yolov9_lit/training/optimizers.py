"""Optimisers by the published recipe: no decay on biases and normalisation weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

BIAS_GROUP = "bias"


@dataclass(frozen=True)
class OptimizerRecipe:
    """An optimiser over the recipe's parameter groups.

    Attributes:
        factory: torch optimiser class with its other arguments bound.
        lr: initial learning rate.
        weight_decay: of the weights proper, at the nominal batch.
        clip_norm: largest 2-norm of an update's gradient; None for no clipping.
    """

    factory: Callable[..., Optimizer]
    lr: float
    weight_decay: float
    clip_norm: float | None = 10.0

    def build(self, model: nn.Module, decay_scale: float = 1.0) -> Optimizer:
        """Make the optimiser; each group keeps its "name" and "initial_lr".

        Args:
            model: whose trainable parameters it updates.
            decay_scale: multiplies the weight decay; the batch an update sees over the nominal one.
        """
        groups = parameter_groups(model, self.weight_decay * decay_scale)
        for group in groups:
            group["initial_lr"] = self.lr
        return self.factory(groups, lr=self.lr)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Sort the trainable parameters into biases, normalisation weights and all other weights.

    Args:
        model: whose parameters are to be trained.
        weight_decay: of the other weights.

    Returns:
        Groups for a torch optimiser, each with a "name"; empty ones are left out.
    """
    biases, norms, weights = [], [], []
    for module in model.modules():
        is_norm = isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm)
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if name == "bias":
                biases.append(parameter)
            elif is_norm:
                norms.append(parameter)
            else:
                weights.append(parameter)
    groups = [
        {"name": BIAS_GROUP, "params": biases, "weight_decay": 0.0},
        {"name": "norm", "params": norms, "weight_decay": 0.0},
        {"name": "weight", "params": weights, "weight_decay": weight_decay},
    ]
    return [group for group in groups if group["params"]]
