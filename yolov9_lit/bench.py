"""Command: speed and memory."""

from __future__ import annotations

import json
import sys

from omegaconf import DictConfig

from yolov9_lit.app.cli import command
from yolov9_lit.building import build


@command("bench")
def main(cfg: DictConfig) -> None:
    """Print tables and, as the last line, one JSON object."""
    from rich.console import Console

    tables, figures = build(cfg.what)()
    for table in tables:
        Console().print(table)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
