"""Command: parameters and GFLOPs, as trained and deployed, of a configuration or of a table."""

from __future__ import annotations

import json
import sys

from omegaconf import DictConfig

from yolov9_lit.app.cli import command


@command("summary")
def main(cfg: DictConfig) -> None:
    """Print a table and, as the last line, one JSON object."""
    from yolov9_lit.research.summary import summarise_model, summarise_rows
    from yolov9_lit.research.tables import print_table

    table, figures = summarise_rows(cfg) if cfg.rows else summarise_model(cfg)
    print_table(table, cfg.markdown)
    sys.stdout.write(json.dumps({"image_size": cfg.image_size, **figures}) + "\n")


if __name__ == "__main__":
    main()
