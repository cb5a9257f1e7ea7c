"""Command: figures of the models and of what they compute."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig

from yolov9_lit.app.cli import command
from yolov9_lit.building import build, check
from yolov9_lit.checks import path_argument
from yolov9_lit.kinds import PathText, Words

KINDS: Mapping[str, Any] = {
    "figure": Annotated[Callable[..., Path], Words("how to draw it, with a _target_")],
    "out": PathText,
    "image": PathText | Sequence[PathText] | None,
    "ckpt": PathText | Sequence[PathText] | None,
    "seed": int,
}
"""What the settings may be."""


@command("figures", lists=("image", "ckpt"))
def main(cfg: DictConfig) -> None:
    """Draw what `figure` names into the folder `out`, and print the path."""
    check(cfg, KINDS)
    out = path_argument("out", cfg.out)
    path = build(cfg.figure)(out)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
