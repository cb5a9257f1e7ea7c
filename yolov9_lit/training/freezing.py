"""Parts of a detector that are not trained, or not from the start."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)


def freeze(detector: nn.Module, parts: str | Sequence[str] | None) -> Frozen | None:
    """Exclude parts from training; call it before the optimiser and the Trainer are built.

    Args:
        detector: with the weights that its frozen parts keep.
        parts: names of modules, `*` and `?` allowed: "backbone", "neck.top_down", "*.box"; None
            for none.

    Returns:
        What can release them; None where there are none.

    Raises:
        UserError: there is no such part, or nothing is left to train.
    """
    several = parts if isinstance(parts, Sequence) and not isinstance(parts, str) else [parts]
    patterns = [str(part) for part in several if part is not None]
    if not patterns:
        return None
    modules = {name: module for name, module in detector.named_modules() if name}
    frozen: list[nn.Module] = []
    for pattern in patterns:
        found = [module for name, module in modules.items() if fnmatchcase(name, pattern)]
        if not found:
            known = ", ".join(name for name in modules if name.count(".") < 2)
            raise UserError(f"freeze={pattern}: this model has no such part: choose from {known}.")
        frozen += found
    kept = Frozen(", ".join(patterns), frozen)
    trained = sum(p.numel() for p in detector.parameters() if p.requires_grad)
    if not trained:
        raise UserError(f"freeze={','.join(patterns)} leaves nothing to train: name fewer parts.")
    if not any(p.is_meta for p in detector.parameters()):  # a rehearsal
        total = sum(p.numel() for p in detector.parameters())
        log.info("Frozen: %s; %s parameters are trained", kept.names, f"{trained:,} of {total:,}")
    return kept


class Frozen:
    """Modules that were frozen.

    Their parameters get no gradient. They are in evaluation mode, where Lightning leaves them:
    batch normalisation uses its running statistics and keeps them as they are.
    """

    def __init__(self, names: str, modules: Sequence[nn.Module]) -> None:
        """Freeze them.

        Args:
            names: told of them.
            modules: with all that they hold.
        """
        self.names = names
        inner = [part for module in modules for part in module.modules()]
        self._training = [part for part in inner if part.training]
        own = [parameter for module in modules for parameter in module.parameters()]
        self._trained = [parameter for parameter in own if parameter.requires_grad]
        for module in modules:
            module.eval().requires_grad_(False)

    def release(self) -> None:
        """Have them trained again, each part as it was."""
        for part in self._training:
            part.training = True
        for parameter in self._trained:
            parameter.requires_grad_(True)


class FrozenAtFirst:
    """Parts that are trained from an epoch on, as a function of the training's position alone.

    The optimiser has them from the start, so that a checkpoint of any epoch is continued. So has
    DDP, which asks for gradients once: they are frozen with the first batch, behind both.
    """

    def __init__(self, parts: str | Sequence[str], epochs: int) -> None:
        """Set what is frozen how long.

        Args:
            parts: see `freeze`.
            epochs: number of the first epochs, in which it is.
        """
        self.parts = parts
        self.epochs = epochs
        self._frozen: Frozen | None = None

    def follow(self, detector: nn.Module, epoch: int) -> str:
        """Freeze or release the parts as it is to be in an epoch; return what is released now."""
        if epoch < self.epochs:
            self._frozen = self._frozen or freeze(detector, self.parts)
            return ""
        frozen, self._frozen = self._frozen, None
        if frozen is None:
            return ""
        frozen.release()
        return frozen.names
