"""Command: images of the models and of what they compute."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig

from yolov9_lit.app.cli import command
from yolov9_lit.building import build, check
from yolov9_lit.checks import path_argument
from yolov9_lit.errors import UserError
from yolov9_lit.kinds import PathText, Words

KINDS: Mapping[str, Any] = {
    "figure": str | int,
    "out": PathText,
    "figures": Mapping[str, Any],
    "figures.*": Annotated[Callable[..., Path], Words("how to draw it, with a _target_")],
}
"""What the settings may be."""


@command("figures")
def main(cfg: DictConfig) -> None:
    """Draw what `figure` names into the folder `out`, and print the path."""
    check(cfg, KINDS)
    if cfg.figure not in cfg.figures:
        known = ", ".join(map(str, cfg.figures))
        raise UserError(f"There is no figure={cfg.figure}: give one of {known}.")
    path = build(cfg.figures[cfg.figure])(path_argument("out", cfg.out))
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
