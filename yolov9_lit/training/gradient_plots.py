"""Pictures of gradients by stage and branch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from yolov9_lit.reporting.plot import FONT, Plot, make_axes, save_axes, save_plot, style
from yolov9_lit.training.gradients import ALL

MEANINGS = {
    "norm": "Norm of each branch's gradient, as weighted in the loss",
    "cosine": "Cosine between an auxiliary branch's gradient and the main branch's",
    "reliability": "Cosine between a batch's gradient and that of the reference batches",
}
"""What a quantity is, in the order in which they are shown."""


def plot_epochs(frame: pd.DataFrame, path: Path) -> Plot:
    """Draw quantities over a training: a row each, a column for each stage, a line for each branch.

    Args:
        frame: epoch, stage, branch, quantity, value.
        path: of the PNG.
    """
    rows = [quantity for quantity in MEANINGS if quantity in set(frame["quantity"])]
    columns, branches = list(frame["stage"].unique()), list(frame["branch"].unique())
    figure = Figure(figsize=(1 + 1.9 * len(columns), 0.8 + 2 * len(rows)), dpi=130)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey="row")
    for quantity, line in zip(rows, grid, strict=True):
        for stage, axes in zip(columns, line, strict=True):
            own = frame[(frame["quantity"] == quantity) & (frame["stage"] == stage)]
            for i, branch in enumerate(branches):
                of_branch = own[own["branch"] == branch]
                color, marker = style(i)
                look = {"color": color, "marker": marker, "ls": "--" if branch == ALL else "-"}
                axes.plot(of_branch["epoch"], of_branch["value"], ms=3, lw=1, **look)
            _finish(axes, quantity)
            axes.tick_params(labelsize=FONT - 1)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        line[0].set_ylabel(quantity)
    for stage, top, bottom in zip(columns, grid[0], grid[-1], strict=True):
        top.set_title(stage, fontsize=FONT + 1)
        bottom.set_xlabel("epoch")
    figure.legend(grid[0][0].lines, branches, loc="upper right", ncols=len(branches), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    return save_plot(figure, path, "Gradients by stage and branch, over the training")


def plot_stages(frame: pd.DataFrame, quantity: str, path: Path, of: str) -> Plot:
    """Draw one quantity by stage and branch: means over the batches, bars of one deviation.

    Args:
        frame: stage, branch, quantity, mean, std.
        quantity: the one to draw.
        path: of the PNG.
        of: name of the checkpoint.
    """
    (axes,) = make_axes("stage that branches share", quantity)
    places = {stage: i for i, stage in enumerate(frame["stage"].unique())}
    branches = list(frame["branch"].unique())
    for i, branch in enumerate(branches):
        own = frame[(frame["quantity"] == quantity) & (frame["branch"] == branch)]
        if own.empty:
            continue
        x = own["stage"].map(places) + 0.12 * (i - (len(branches) - 1) / 2)
        color, marker = style(i)
        axes.errorbar(
            x, own["mean"], own["std"], fmt=marker, ms=5, capsize=2, color=color, label=branch
        )
    axes.set_xticks(list(places.values()), list(places))
    _finish(axes, quantity)
    axes.legend(fontsize=FONT, frameon=False)
    return save_axes(axes, path, f"{of}: {MEANINGS[quantity]}")


def _finish(axes: Axes, quantity: str) -> None:
    if quantity == "norm":
        axes.set_yscale("log")
    else:
        axes.axhline(0, color="#777777", lw=0.6)
