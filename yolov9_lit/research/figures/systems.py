"""Drawings and costs in a page of Markdown, each made of the model that stands above it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from hydra import compose

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.models.cost import detector_cost
from yolov9_lit.research.figures.drawing import draw

BLOCK = re.compile(r"<!-- (\w+): (.*?) -->\n.*?<!-- end -->", re.DOTALL)
"""What is made, of which overrides, and what was made last."""


def write_systems(out: Path, page: str) -> Path:
    """Fill the blocks of a page anew; its words stay.

    A block stands between `<!-- drawing: model=gelan_c pgi=icn -->` and `<!-- end -->`; of several
    configurations, separated by semicolons, `costs` makes a table, a row each.

    Args:
        out: folder of the page.
        page: name of its file.

    Returns:
        The page's path.

    Raises:
        UserError: there is no such page, or a block wants something else.
    """
    path = out / page
    if not path.is_file():
        raise UserError(f"There is no page {path}: write it first, its drawings are filled in.")
    path.write_text(BLOCK.sub(_filled, path.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def _filled(block: re.Match[str]) -> str:
    kind, configurations = block[1], block[2]
    if kind not in MAKES:
        raise UserError(f"A block of the page wants {kind}: give one of {', '.join(MAKES)}.")
    made = MAKES[kind](configurations)
    return f"<!-- {kind}: {configurations} -->\n{made}\n<!-- end -->"


def _drawing(overrides: str) -> str:
    return draw(shlex.split(overrides)).chart


def _costs(configurations: str) -> str:
    lines = [
        "| configuration | parameters as trained | deployed | GFLOPs as trained | deployed |",
        "|---|---:|---:|---:|---:|",
    ]
    for overrides in configurations.split("; "):
        cfg = compose("summary", overrides=shlex.split(overrides))
        with torch.device("meta"):
            detector = build(cfg.model, num_classes=cfg.num_classes)
            trained, deployed, _ = detector_cost(detector)
        counts = f"{trained.params:,} | {deployed.params:,}"
        lines.append(f"| `{overrides}` | {counts} | {trained.gflops:.1f} | {deployed.gflops:.1f} |")
    return "\n".join(lines)


MAKES: Mapping[str, Callable[[str], str]] = {"drawing": _drawing, "costs": _costs}
"""Kinds of blocks."""
