"""The measured information as curves by depth, and as tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from yolov9_lit.reporting.plot import FONT, Plot, make_axes, save_axes, style
from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.probes.quantities import (
    COVERED,
    IMAGE,
    OBJECTS,
    RANK,
    TRAINED,
    half_depth,
)

WORDS = {
    IMAGE: "share of the image's variance explained",
    COVERED: "object or not: average precision beyond the place",
    OBJECTS: "class of the cell: accuracy above chance",
    RANK: "effective rank",
}
"""What each quantity is called on an axis."""

DIGITS = {IMAGE: 3, COVERED: 2, OBJECTS: 2, RANK: 0}
"""Shown after the point."""


def draw_by_layer(table: pd.DataFrame, quantity: str, path: Path) -> Plot:
    """Draw a quantity by depth inside the networks, a panel a nominal depth.

    Args:
        table: long: model, network, seed, layer, depth, quantity, value.
        quantity: one of `WORDS`.
        path: of the PNG.
    """
    table = table[table["quantity"] == quantity]
    networks = list(dict.fromkeys(table["network"]))
    models = list(dict.fromkeys(table["model"]))
    panels = make_axes("layer's depth", WORDS[quantity], len(networks))
    for axes, network in zip(panels, networks, strict=True):
        axes.set_title(_title(network), fontsize=FONT + 1.5)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for i, model in enumerate(models):
            own = table[(table["network"] == network) & (table["model"] == model)]
            if len(own):
                _draw(axes, own, i, model)
    for axes in panels:
        axes.legend(fontsize=FONT - 1, frameon=False)
    caption = (
        f"{WORDS[quantity][0].upper()}{WORDS[quantity][1:]}, by layer: mean over the seeds (line) "
        "and their range (band). Depth 0 is the image itself; points are the outputs P1 to P5."
    )
    return save_axes(panels[0], path, caption)


def last_layers(table: pd.DataFrame, quantity: str) -> Table:
    """Return a quantity at P5: mean and range over the seeds, a row a model."""
    last = table[(table["layer"] == "P5") & (table["quantity"] == quantity)]
    note = "Median over the seeds (smallest to largest)."
    return Table(f"At P5: {WORDS[quantity]}", _by_network(last, DIGITS[quantity]), (note,))


def half_depths(table: pd.DataFrame, quantity: str) -> Table:
    """Return the depth of the first layer with less than half of what P1 has."""
    rows = []
    own = table[table["quantity"] == quantity]
    for (model, network, seed), one in own.groupby(["model", "network", "seed"], sort=False):
        depth = half_depth(one)
        rows.append({"model": model, "network": network, "seed": seed, "value": depth})
    title = f"First measured depth with less than half of P1's {WORDS[quantity]}"
    note = "Median over the seeds (smallest to largest)."
    return Table(title, _by_network(pd.DataFrame(rows), 0), (note,))


def _by_network(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Return a row a model and a column a network: middle, and range over the seeds."""
    models, networks = (list(dict.fromkeys(table[c])) for c in ("model", "network"))
    grouped = {key: group["value"] for key, group in table.groupby(["model", "network"])}
    frame = pd.DataFrame({"model": models})
    for network in networks:
        values = [grouped.get((model, network)) for model in models]
        frame[_title(network)] = pd.Series([_cell(v, digits) for v in values], dtype=object)
    return frame


def _cell(values: pd.Series | None, digits: int) -> Cell:
    if values is None:
        return number(None, digits=digits)
    missing = int(values.isna().sum())
    if missing == len(values):
        return Cell("never", float("inf"))
    middle = number(float(values.median()), digits=digits)
    if len(values) == 1:
        return middle
    low, high = (f"{v:.{digits}f}" for v in (values.min(), values.max()))
    never = f", never in {missing}" if missing else ""
    return middle._replace(text=f"{middle.text} ({low} to {high}{never})")


def _draw(axes: Axes, table: pd.DataFrame, index: int, model: str) -> None:
    look = style(index)
    by_depth = table.groupby("depth")["value"]
    mean, low, high = by_depth.mean(), by_depth.min(), by_depth.max()
    axes.fill_between(mean.index, low, high, color=look.color, alpha=0.15, lw=0)
    axes.plot(mean.index, mean, color=look.color, lw=1.2, label=model)
    levels = mean[mean.index.isin(table.loc[table["layer"].str.match(r"P\d"), "depth"])]
    axes.plot(levels.index, levels, look.marker, color=look.color, ms=3.5)


def _title(network: str) -> str:
    return network if network == TRAINED else f"{network} layers"
