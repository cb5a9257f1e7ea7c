"""Command: images of the models and of what they compute."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from yolov9_lit.app.cli import command
from yolov9_lit.building import build
from yolov9_lit.errors import UserError


@command("figures")
def main(cfg: DictConfig) -> None:
    """Draw what `figure` names into the folder `out`, and print the path."""
    if cfg.figure not in cfg.figures:
        known = ", ".join(map(str, cfg.figures))
        raise UserError(f"There is no figure={cfg.figure}: give one of {known}.")
    path = build(cfg.figures[cfg.figure])(Path(cfg.out))
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
