"""Parameters and GFLOPs: of one configuration, or of the paper's rows beside its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.progress import track
from rich.table import Table

from yolov9_lit.building import build, check
from yolov9_lit.checks import path_argument
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.kinds import InputSide, PathText, PositiveInt
from yolov9_lit.models.cost import DetectorCost, cost_table, detector_cost
from yolov9_lit.reporting.console import console
from yolov9_lit.research.paper import paper_figures
from yolov9_lit.weights.checkpoints import load_detector, read_checkpoint
from yolov9_lit.weights.structure import adopt_structure

MARKDOWN_WIDTH = 200

KINDS: Mapping[str, Any] = {
    "num_classes": PositiveInt,
    "model.num_classes": PositiveInt | None,
    "image_size": InputSide,
    "ckpt": PathText | None,
    "rows": str | None,
    "markdown": bool,
}
"""What the settings may be that no constructor tells."""

OF_A_MODEL = ("model", "block", "pgi", "row", "num_classes")
"""Beginnings of overrides that say what to describe."""


class RowCost(NamedTuple):
    """A row of the paper's tables.

    Attributes:
        name: of its file in `conf/row`, without the ending.
        cost: of the detector it describes.
        paper: as many figures as the paper prints of it, see `paper_figures`.
    """

    name: str
    cost: DetectorCost
    paper: dict[str, Any]


def summarise(cfg: DictConfig) -> tuple[Table, dict[str, Any]]:
    """Count the configuration, the file `cfg.ckpt`, or each row that matches `cfg.rows`.

    Inside a command only.

    Returns:
        A table to print, and the same figures for JSON.

    Raises:
        UserError: a value is not of its kind, no row matches, the file cannot be read, or two of
            the three were asked for.
    """
    of_file = cfg.ckpt and not OmegaConf.is_missing(cfg.model, "_target_")
    adopt_structure(cfg)
    check(cfg, KINDS)
    figures: dict[str, Any] = {"image_size": cfg.image_size}
    if of_file:
        cost, told = _of_file(cfg)
        figures |= told
        return cost_table(cost, cfg.image_size), figures | _forms(cost) | {"parts": cost.parts}
    if not cfg.rows:
        cost = _count(cfg)
        return cost_table(cost, cfg.image_size), figures | _forms(cost) | {"parts": cost.parts}
    hydra = HydraConfig.get()
    if hydra.runtime.choices["row"]:
        raise UserError("Both row and rows are given: leave out one of them.")
    names = _matching_rows(cfg.rows)
    costs = row_costs(names, hydra.overrides.task)
    progress = track(costs, "counting", len(names), transient=True, console=console(stderr=True))
    rows = list(progress)
    by_row = {row.name: _forms(row.cost) | {"paper": row.paper} for row in rows}
    return _rows_table(rows, cfg.image_size), figures | {"rows": by_row}


def row_costs(names: Sequence[str], overrides: Sequence[str] = ()) -> Iterator[RowCost]:
    """Compose, build and count each row; inside a command only.

    Args:
        names: of files in `conf/row`, without their ending.
        overrides: of the summary's config, for all of them, e.g. `model=gelan_t`.

    Raises:
        UserError: a constructor refused a value.
    """
    for name in names:
        cfg = compose("summary", overrides=[*overrides, f"row={name}"])
        with torch.device("meta"):
            cost = _count(cfg)
        paper = paper_figures(name, cfg)
        yield RowCost(name, cost, {k: v for k, v in paper.items() if k not in ("table", "model")})


def print_table(table: Table, markdown: bool = False) -> None:
    """Print to the terminal, or as Markdown with each row on one line."""
    if not markdown:
        console().print(table)
        return
    table.box, table.title = box.MARKDOWN, None
    for row in table.rows:
        row.end_section = False  # its line would not be Markdown
    console(width=MARKDOWN_WIDTH).print(table)


def _count(cfg: DictConfig) -> DetectorCost:
    detector = build(cfg.model, num_classes=cfg.model.num_classes or cfg.num_classes)
    return detector_cost(detector, cfg.image_size, cfg.model.in_channels)


def _of_file(cfg: DictConfig) -> tuple[DetectorCost, dict[str, Any]]:
    """Count the detector in the file `cfg.ckpt`, and say what its card tells.

    Raises:
        UserError: it is no checkpoint, or a model was chosen as well.
    """
    path = path_argument("ckpt", cfg.ckpt)
    chosen = [o for o in HydraConfig.get().overrides.task if o.lstrip("+~").startswith(OF_A_MODEL)]
    if chosen:
        raise UserError(
            f"ckpt={path} describes that file, {first_few(chosen)} another model: leave one out, "
            "or give model=checkpoint to change the file's structure."
        )
    checkpoint = read_checkpoint(path)
    card = checkpoint.card
    cost = detector_cost(
        load_detector(checkpoint, path), cfg.image_size, card.model.get("in_channels") or 3
    )
    classes = {"classes": len(card.class_names), "trained_at": card.image_size}
    return cost, {"checkpoint": str(path), "deployed_file": checkpoint.deployed, **classes}


def _forms(cost: DetectorCost) -> dict[str, Any]:
    return {"trained": cost.trained._asdict(), "deployed": cost.deployed._asdict()}


def _matching_rows(pattern: str) -> list[str]:
    """Return the rows, a user's own among them, whose names match a pattern with `*` and `?`."""
    names = GlobalHydra.instance().config_loader().get_group_options("row")
    found = sorted(name for name in names if fnmatchcase(name, pattern))
    if not found:
        tables = sorted({name.partition("-")[0] for name in names})
        raise UserError(f"No row is called {pattern}: use a pattern like '{tables[0]}-*'.")
    return found


def _rows_table(rows: Sequence[RowCost], image_size: int) -> Table:
    title = f"At {image_size} pixels, in brackets the paper's figures"
    table = Table(title=title, title_justify="left")
    table.add_column("row", no_wrap=True)
    for column in ("M deployed", "GFLOPs deployed", "M trained", "GFLOPs trained", "paper's AP"):
        table.add_column(column, justify="right")
    with_masks = any("mask_ap" in paper for _, _, paper in rows)
    if with_masks:
        table.add_column("mask AP", justify="right")
    for name, cost, paper in rows:
        table.add_row(
            name,
            f"{cost.deployed.params / 1e6:.2f}{_in_brackets(paper, 'params')}",
            f"{cost.deployed.gflops:.1f}{_in_brackets(paper, 'gflops')}",
            f"{cost.trained.params / 1e6:.2f}",
            f"{cost.trained.gflops:.1f}",
            _printed(paper, "ap"),
            *([_printed(paper, "mask_ap")] if with_masks else []),
        )
    return table


def _printed(paper: Mapping[str, Any], figure: str) -> str:
    return f"{paper[figure]:.1f}" if figure in paper else ""


def _in_brackets(paper: Mapping[str, Any], figure: str) -> str:
    return f" ({printed})" if (printed := _printed(paper, figure)) else ""
