"""Command: speed and memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from omegaconf import DictConfig

from yolov9_lit.app.cli import command
from yolov9_lit.building import build
from yolov9_lit.errors import UserError

_CHECKOUT = Path(__file__).parents[1]


@command("bench")
def main(cfg: DictConfig) -> None:
    """Print tables and, as the last line, one JSON object."""
    from yolov9_lit.reporting.console import console

    if not (_CHECKOUT / "benchmarks").is_dir():
        raise UserError(
            f"{_CHECKOUT} has no benchmarks: install the package from a checkout with "
            "`pip install -e .`."
        )
    tables, figures = build(cfg.what)()
    for table in tables:
        console().print(table)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
