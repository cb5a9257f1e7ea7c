"""Optimisers by the published recipe: no decay on biases and normalisation weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from yolov9_lit.kinds import Amount, PositiveFloat

BIAS_GROUP = "bias"


@dataclass(frozen=True)
class OptimizerRecipe:
    """An optimiser over the recipe's parameter groups.

    Attributes:
        factory: torch optimiser class with its other arguments bound.
        lr: initial learning rate.
        weight_decay: of all but biases and normalisation weights, at the nominal batch.
        clip_norm: largest 2-norm of an update's gradient; None for no clipping.
    """

    factory: Callable[..., Optimizer]
    lr: Amount
    weight_decay: Amount
    clip_norm: PositiveFloat | None = 10.0

    def build(self, model: nn.Module, decay_scale: float = 1.0) -> Optimizer:
        """Build the optimiser of a model's trainable parameters.

        Args:
            model: each of its groups keeps a "name" and its "initial_lr".
            decay_scale: factor of the weight decay: images of an update over the nominal batch.
        """
        groups = parameter_groups(model, self.weight_decay * decay_scale)
        for group in groups:
            group["initial_lr"] = self.lr
        return self.factory(groups, lr=self.lr)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Sort the trainable parameters into biases, normalisation weights and all other weights.

    Returns:
        Groups for a torch optimiser, each with a "name"; empty ones are left out.
    """
    by_name: dict[str, list[nn.Parameter]] = {BIAS_GROUP: [], "norm": [], "weight": []}
    for module in model.modules():
        is_norm = isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm)
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                group = BIAS_GROUP if name == "bias" else "norm" if is_norm else "weight"
                by_name[group].append(parameter)
    decays = {BIAS_GROUP: 0.0, "norm": 0.0, "weight": weight_decay}
    return [
        {"name": name, "params": parameters, "weight_decay": decays[name]}
        for name, parameters in by_name.items()
        if parameters
    ]
