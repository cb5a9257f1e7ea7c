"""AP against cost, and learning curves, as PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from yolov9_lit.reporting.labels import FONT, Label, place_labels, spread_labels
from yolov9_lit.reporting.plot import COLORS, Plot, save_plot
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.statistics import Pooled

STYLES = ("-", "--", ":", "-.")


COSTS: dict[str, tuple[str, Callable[[Row], float | None]]] = {
    "ap_params.png": (
        "parameters, deployed (M)",
        lambda row: None if (count := row.cost("params")) is None else count / 1e6,
    ),
    "ap_gflops.png": ("GFLOPs at 640 pixels, deployed", lambda row: row.cost("gflops")),
    "ap_seconds.png": ("seconds per training epoch", lambda row: row.seconds_per_epoch),
}
"""Costs to plot AP against, by file: their name with its unit, and a row's value if it is known."""


class Point(NamedTuple):
    """A row in a cost plot.

    Attributes:
        x: its cost.
        ap: over the seeds, in percent.
        label: short name.
        color: of all that belongs to it.
    """

    x: float
    ap: Pooled
    label: str
    color: str

    @property
    def reach(self) -> tuple[float, float]:
        """Range of AP that must be visible: of two seeds their spread (t = 12.7 is too wide)."""
        if self.ap.n > 2:
            return self.ap.low, self.ap.high
        spread = self.ap.sd if self.ap.n == 2 else 0.0
        return self.ap.mean - spread, self.ap.mean + spread


def draw_plots(rows: Sequence[Row], folder: Path) -> list[Plot]:
    """Write the plots for which there are numbers."""
    drawn = [_draw_cost(rows, *cost, folder / file) for file, cost in COSTS.items()]
    return [plot for plot in (*drawn, _draw_curves(rows, folder / "curves.png")) if plot]


def _draw_cost(
    rows: Sequence[Row], name: str, value: Callable[[Row], float | None], path: Path
) -> Plot | None:
    """Draw AP of each row against one of its costs, with 95 % intervals over several seeds."""
    points = [
        Point(cost, row.pooled("AP"), row.short_label, COLORS[i % len(COLORS)])
        for i, row in enumerate(rows)
        if row.pooled("AP").n and (cost := value(row)) is not None
    ]
    if not points:
        return None
    axes = _axes(name, "test AP (%)")
    axes.set_xlim(*_limits([p.x for p in points], 0.2))
    axes.set_ylim(*_limits([end for p in points for end in p.reach], 0.12))
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    axes.figure.canvas.draw()
    points = _side_by_side(axes, points)
    for p in points:
        single = p.ap.n < 2
        axes.plot(p.x, p.ap.mean, "o", ms=6, color=p.color, mfc="white" if single else p.color)
        if not single:
            axes.plot([p.x, p.x], [p.ap.low, p.ap.high], color=p.color, lw=1.4, alpha=0.6)
    labels = [Label(p.x, p.ap.mean, p.label, p.color) for p in points]
    place_labels(axes, labels, [_bar(axes, p) for p in points])
    return _save(axes, path, _cost_caption(name, points))


def _cost_caption(name: str, points: Sequence[Point]) -> str:
    caption = f"AP against {name}. Bars: 95 % interval of the mean over seeds (Student's t)"
    if any(p.ap.n == 1 for p in points):
        caption += "; hollow: one seed"
    if any(p.ap.n == 2 for p in points):
        caption += "; bars of two seeds may leave the image"
    return f"{caption}. Points of one cost stand side by side."


def _side_by_side(axes: Axes, points: Sequence[Point]) -> list[Point]:
    """Move points of equal cost apart by a little more than their size to show their bars."""
    left, right = axes.get_xlim()
    width = 9 * axes.figure.dpi / 72 * (right - left) / axes.get_window_extent().width
    moved = []
    for cost in dict.fromkeys(p.x for p in points):
        same = sorted((p for p in points if p.x == cost), key=lambda p: p.ap.mean)
        moved += [
            p._replace(x=cost + (i - (len(same) - 1) / 2) * width) for i, p in enumerate(same)
        ]
    return moved


def _draw_curves(rows: Sequence[Row], path: Path) -> Plot | None:
    """Draw validation AP by epoch, mean and range over the seeds; else of the unfinished runs."""
    axes = _axes("epochs trained", "validation AP (%)")
    labels = []
    for i, row in enumerate(rows):
        runs = row.runs or row.unfinished
        curves = [100 * run.curve.rename(lambda epoch: epoch + 1) for run in runs if len(run.curve)]
        if not curves:
            continue
        # An epoch that only some seeds have reached would distort the mean.
        table = pd.concat(curves, axis=1).dropna()
        color, style = COLORS[i % len(COLORS)], STYLES[i // len(COLORS) % len(STYLES)]
        mean = table.mean(axis=1)
        text = row.short_label if row.runs else f"{row.short_label} (unfinished)"
        axes.fill_between(
            table.index, table.min(axis=1), table.max(axis=1), color=color, alpha=0.1, lw=0
        )
        axes.plot(mean.index, mean, color=color, ls=style, lw=1.6)
        if len(mean):
            labels.append(Label(float(mean.index[-1]), float(mean.iloc[-1]), text, color))
    if not labels:
        return None
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.figure.canvas.draw()
    spread_labels(axes, labels)
    caption = "Validation AP by epoch: mean (line) and range (band) over the seeds"
    if not all(row.runs for row in rows):
        caption += "; where no run counts yet, of the unfinished ones"
    return _save(axes, path, f"{caption}.")


def _axes(x: str, y: str) -> Axes:
    figure = Figure(figsize=(7.2, 4.5), dpi=160)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=FONT)
    return axes


def _limits(values: Sequence[float], margin: float) -> tuple[float, float]:
    """Return the values' range with a margin, as a part of it, also around a single value."""
    low, high = min(values), max(values)
    room = margin * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def _bar(axes: Axes, point: Point) -> Bbox:
    """Return the box of an error bar in pixels."""
    ap = point.ap
    ends = (ap.low, ap.high) if ap.n > 1 else (ap.mean, ap.mean)
    (x, low), (_, high) = (axes.transData.transform((point.x, end)) for end in ends)
    return Bbox.from_extents(x - 2, low, x + 2, high)


def _save(axes: Axes, path: Path, caption: str) -> Plot:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return save_plot(figure, path, caption, bbox_inches="tight")
