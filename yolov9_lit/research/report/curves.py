"""What was logged by epoch: validation AP, and the losses of each branch, as PNG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from yolov9_lit.reporting.labels import Label, spread_labels
from yolov9_lit.reporting.plot import FONT, Plot, as_written, make_axes, save_plot, style
from yolov9_lit.research.report.metrics import COMPARED, named
from yolov9_lit.research.report.rows import Row

MOST_BANDS = 4
"""Bands of more curves than that hide each other."""

MARKS = 8
"""Markers along a curve."""

FAR = 3
"""Times the highest loss of a training, or the validation's median, above which the plot ends."""


def draw_curves(rows: Sequence[Row], path: Path, figure: str = COMPARED[0]) -> Plot | None:
    """Draw a figure by epoch, mean and range over the seeds; else of the unfinished runs."""
    curves = {
        i: 100 * _together(curves) for i, row in enumerate(rows) if (curves := _curves(row, figure))
    }
    if not curves:
        return None
    (axes,) = make_axes("epochs trained", f"validation {named(figure)} (%)")
    banded = len(curves) <= MOST_BANDS
    labels = []
    for i, table in curves.items():
        mean, color = table.mean(axis=1), style(i).color
        if banded:
            low, high = table.min(axis=1), table.max(axis=1)
            axes.fill_between(table.index + 1, low, high, color=color, alpha=0.12, lw=0)
        _draw(axes, mean, i)
        if len(mean):
            text = rows[i].short_label + ("" if rows[i].runs else " (unfinished)")
            labels.append(Label(float(mean.index[-1]) + 1, float(mean.iloc[-1]), text, color))
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0.0)
    axes.figure.canvas.draw()
    spread_labels(axes, labels)
    caption = f"Validation {named(figure)} by epoch: mean over the seeds"
    caption += " (line) and their range (band)" if banded else ""
    if not all(row.runs for row in rows):
        caption += "; where no run counts yet, of the unfinished ones"
    return _save(axes, path, f"{caption}.")


def draw_losses(rows: Sequence[Row], path: Path) -> Plot | None:
    """Draw the loss of each branch by epoch, in training and validation, a panel a branch."""
    losses = {
        i: _mean(known)
        for i, row in enumerate(rows)
        if (known := [run.losses for run in row.runs or row.unfinished if len(run.losses)])
    }
    named = (table.columns.get_level_values("branch") for table in losses.values())
    branches = list(dict.fromkeys(str(branch) for names in named for branch in names))
    if not branches:
        return None
    panels = make_axes("epochs trained", "loss of the branch, unweighted", len(branches))
    for axes, branch in zip(panels, branches, strict=True):
        axes.set_title(branch, fontsize=FONT + 1.5)
        for i, table in losses.items():
            for stage, line in (("train", "-"), ("val", ":")):
                if (stage, branch) in table:
                    _draw(axes, table[stage, branch].dropna(), i, line)
    top, cut = _top_of(losses.values())
    panels[0].set_ylim(0.0, top)  # Of all panels.
    _legend(panels[-1], {i: rows[i].short_label for i in losses})
    caption = (
        "Loss of each branch by epoch, the sum of its terms before its weight, mean over the "
        "seeds: in training (line) and in validation (dotted)."
    )
    if len(cut):
        caption += (
            f" {len(cut)} of the validation's values lie above the axis, up to {cut.max():,.4g}."
        )
    return _save(panels[0], path, caption)


def _top_of(losses: Iterable[pd.DataFrame]) -> tuple[float | None, pd.Series[float]]:
    """Return where the axis of losses ends, and the values that lie above it.

    A few epochs' validation may be a hundred times its neighbours', and would flatten all curves.
    None where nothing is cut off.
    """
    values = pd.concat([cast("pd.Series[float]", table.unstack()) for table in losses]).dropna()
    training = values.index.get_level_values("stage") == "train"
    usual = max(values[~training].median(), values[training].max())
    cut = values[values > FAR * usual]
    return (1.05 * values.drop(cut.index).max() if len(cut) else None), cut


def _curves(row: Row, figure: str) -> list[pd.Series[float]]:
    curves = (run.curves[figure] for run in row.runs or row.unfinished)
    return [curve for curve in curves if len(curve)]


def _together(curves: Iterable[pd.Series[float]]) -> pd.DataFrame:
    """Return the curves by epoch: one that only some seeds have reached would distort the mean."""
    return pd.concat(curves, axis=1).dropna()


def _mean(losses: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean of the seeds' losses, of the epochs that all have reached."""
    by_epoch = pd.concat(losses).groupby(level=0)
    return by_epoch.mean().where(by_epoch.count() == len(losses))


def _draw(axes: Axes, values: pd.Series[float], index: int, line: str = "-") -> None:
    """Draw values by epoch (from 0), with a marker here and there, not where others have theirs."""
    color, marker = style(index)
    step = -(-max(1, len(values)) // MARKS)
    marked = (index % step, step)
    epochs = values.index.to_numpy() + 1
    marker = marker if line == "-" else ""
    axes.plot(epochs, values, line, color=color, lw=1.6, marker=marker, ms=5, markevery=marked)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend(axes: Axes, names: dict[int, str]) -> None:
    """Put a legend to the right of the axes."""
    lines = [Line2D([], [], color=style(i).color, marker=style(i).marker, ms=5) for i in names]
    found = axes.legend(
        lines,
        list(names.values()),
        loc="center left",
        bbox_to_anchor=(1.02, 0.5),
        frameon=False,
        fontsize=FONT,
    )
    for text in found.get_texts():
        text.set(**as_written(text.get_text()))


def _save(axes: Axes, path: Path, caption: str) -> Plot:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return save_plot(figure, path, caption, bbox_inches="tight")
