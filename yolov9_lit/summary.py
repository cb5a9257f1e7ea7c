"""Command: parameters and GFLOPs of a configuration, as trained and deployed, by part."""

from __future__ import annotations

import json
import sys

from omegaconf import DictConfig
from rich.console import Console

from yolov9_lit.cli import command
from yolov9_lit.configs import build
from yolov9_lit.research.cost import detector_cost
from yolov9_lit.research.tables import cost_table


@command("summary")
def main(cfg: DictConfig) -> None:
    """Print a table and, as the last line, one JSON object."""
    detector = build(cfg.model, num_classes=cfg.model.num_classes or cfg.num_classes)
    cost = detector_cost(detector, cfg.image_size, cfg.model.in_channels)
    Console().print(cost_table(cost, cfg.image_size))
    figures = {
        "image_size": cfg.image_size,
        "trained": cost.trained._asdict(),
        "deployed": cost.deployed._asdict(),
        "parts": cost.parts,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
