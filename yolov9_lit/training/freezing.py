"""Parts of a detector that are not trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)


def freeze(detector: nn.Module, parts: str | Sequence[str] | None) -> None:
    """Exclude parts from training; call it before the optimiser and the Trainer are built.

    Frozen parameters get no gradient. Frozen modules are in evaluation mode, where Lightning leaves
    them: batch normalisation uses its running statistics and keeps them as they are.

    Args:
        detector: with the weights that its frozen parts keep.
        parts: names of modules, `*` and `?` allowed: "backbone", "neck.top_down", "*.box"; None
            for none.

    Raises:
        UserError: there is no such part, or nothing is left to train.
    """
    several = parts if isinstance(parts, Sequence) and not isinstance(parts, str) else [parts]
    patterns = [str(part) for part in several if part is not None]
    if not patterns:
        return
    modules = {name: module for name, module in detector.named_modules() if name}
    for pattern in patterns:
        found = [module for name, module in modules.items() if fnmatchcase(name, pattern)]
        if not found:
            known = ", ".join(name for name in modules if name.count(".") < 2)
            raise UserError(f"freeze={pattern}: this model has no such part: choose from {known}.")
        for module in found:
            module.eval().requires_grad_(False)
    trained = sum(p.numel() for p in detector.parameters() if p.requires_grad)
    if not trained:
        raise UserError(f"freeze={','.join(patterns)} leaves nothing to train: name fewer parts.")
    if not any(p.is_meta for p in detector.parameters()):  # a rehearsal
        total = sum(p.numel() for p in detector.parameters())
        told = f"{trained:,} of {total:,}"
        log.info("Frozen: %s; %s parameters are trained", ", ".join(patterns), told)
