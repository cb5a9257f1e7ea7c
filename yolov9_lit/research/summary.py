"""Parameters and GFLOPs, as trained and deployed, of a configuration or of a table's rows."""

from __future__ import annotations

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.models.cost import cost_table, detector_cost
from yolov9_lit.research.rows import row_costs, row_names
from yolov9_lit.research.tables import rows_table
from yolov9_lit.weights.transfer import adopt_structure


def summarise_model(cfg: DictConfig) -> tuple[Table, dict[str, Any]]:
    """Return the costs of one configuration and of its parts, as a table and as figures."""
    adopt_structure(cfg)
    detector = build(cfg.model, num_classes=cfg.model.num_classes or cfg.num_classes)
    cost = detector_cost(detector, cfg.image_size, cfg.model.in_channels)
    figures = {
        "trained": cost.trained._asdict(),
        "deployed": cost.deployed._asdict(),
        "parts": cost.parts,
    }
    return cost_table(cost, cfg.image_size), figures


def summarise_rows(cfg: DictConfig) -> tuple[Table, dict[str, Any]]:
    """Return the costs of rows of the paper's tables beside the paper's, as a table and as figures.

    Raises:
        UserError: there are no such rows, or one row was chosen as well.
    """
    hydra = HydraConfig.get()
    if hydra.runtime.choices["row"]:
        raise UserError("Both row and rows are given: leave out one of them.")
    names = row_names(cfg.rows)
    costs = row_costs(names, hydra.overrides.task)
    progress = track(costs, "counting", len(names), transient=True, console=Console(stderr=True))
    rows = list(progress)
    figures = {
        row.name: {
            "trained": row.cost.trained._asdict(),
            "deployed": row.cost.deployed._asdict(),
            "paper": row.paper,
        }
        for row in rows
    }
    return rows_table(rows, cfg.image_size), {"rows": figures}
