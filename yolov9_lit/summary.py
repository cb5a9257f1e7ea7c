"""Command: parameters and GFLOPs, as trained and deployed, of a configuration or of a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from yolov9_lit.app.cli import command
from yolov9_lit.building import check
from yolov9_lit.kinds import PathText, PositiveInt

KINDS: Mapping[str, Any] = {
    "num_classes": PositiveInt,
    "model.num_classes": PositiveInt | None,
    "ckpt": PathText | None,
    "rows": str | None,
    "markdown": bool,
}
"""What the settings may be that no constructor tells."""


@command("summary")
def main(cfg: DictConfig) -> None:
    """Print a table and, as the last line, one JSON object."""
    from yolov9_lit.research.summary import print_table, summarise

    check(cfg, KINDS)
    table, figures = summarise(cfg)
    print_table(table, cfg.markdown)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
