"""Parts of a detector that are not trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from yolov9_lit.errors import UserError

log = logging.getLogger(__name__)


def freeze(detector: nn.Module, parts: str | Sequence[str] | None) -> None:
    """Stop the training of parts, before the optimiser and the Trainer see the detector.

    Their parameters get no gradient. They are in evaluation mode, and Lightning leaves each module
    in its own: batch normalisation uses its running statistics and leaves them as they are.

    Args:
        detector: with the weights that its frozen parts are to keep.
        parts: names of modules, `*` and `?` allowed: "backbone", "neck.top_down", "*.box"; None
            for nothing.

    Raises:
        UserError: there is no such part, or nothing is left to train.
    """
    several = parts if isinstance(parts, Sequence) and not isinstance(parts, str) else [parts]
    patterns = [str(part) for part in several if part is not None]
    for pattern in patterns:
        found = [m for name, m in detector.named_modules() if name and fnmatchcase(name, pattern)]
        if not found:
            raise UserError(
                f"freeze={pattern}: this model has no such part; it has {_parts(detector)}."
            )
        for module in found:
            module.eval().requires_grad_(False)
    if not patterns:
        return
    trained = sum(p.numel() for p in detector.parameters() if p.requires_grad)
    if not trained:
        raise UserError(f"freeze={','.join(patterns)} leaves nothing to train: name fewer parts.")
    total = sum(p.numel() for p in detector.parameters())
    told = f"{trained:,} of {total:,}"
    log.info("Frozen: %s; %s parameters are trained", ", ".join(patterns), told)


def _parts(detector: nn.Module) -> str:
    names = [name for name, _ in detector.named_modules() if name and name.count(".") < 2]
    return ", ".join(names)
