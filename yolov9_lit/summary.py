"""Command: parameters and GFLOPs, as trained and deployed, of a configuration or of a table."""

from __future__ import annotations

import json
import sys

from omegaconf import DictConfig

from yolov9_lit.app.cli import command


@command("summary", loads="yolov9_lit.research.summary")
def main(cfg: DictConfig) -> None:
    """Print a table and, as the last line, one JSON object."""
    from yolov9_lit.research.summary import print_table, summarise

    table, figures = summarise(cfg)
    print_table(table, cfg.markdown)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
