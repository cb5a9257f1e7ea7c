"""AP against what a configuration costs, as PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from yolov9_lit.reporting.labels import Label, place_labels
from yolov9_lit.reporting.plot import Plot, Style, make_axes, save_plot, style
from yolov9_lit.research.report.metrics import COMPARED, begun, named
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.statistics import Pooled

COSTS: dict[str, tuple[str, Callable[[Row], float | None]]] = {
    "params": (
        "parameters, deployed (M)",
        lambda row: None if (count := row.cost("params")) is None else count / 1e6,
    ),
    "gflops": ("GFLOPs at 640 pixels, deployed", lambda row: row.cost("gflops")),
    "seconds": ("seconds per training epoch", lambda row: row.seconds_per_epoch),
}
"""Costs to plot figures against, by the end of the file's name: their name with its unit, and a
row's value if it is known."""


class Point(NamedTuple):
    """A row in a cost plot.

    Attributes:
        x: its cost.
        ap: over the seeds, in percent.
        label: short name.
        style: of all that belongs to it.
    """

    x: float
    ap: Pooled
    label: str
    style: Style

    @property
    def reach(self) -> tuple[float, float]:
        """Range of AP that must be visible: of two seeds their spread (t = 12.7 is too wide)."""
        if self.ap.n > 2:
            return self.ap.low, self.ap.high
        spread = self.ap.sd if self.ap.n == 2 else 0.0
        return self.ap.mean - spread, self.ap.mean + spread


def draw_costs(rows: Sequence[Row], folder: Path, figure: str = COMPARED[0]) -> list[Plot]:
    """Write a plot of a figure for each cost that is known: `ap_params.png` and so on."""
    drawn = [
        _draw_cost(rows, figure, *cost, folder / f"{figure.lower()}_{end}.png")
        for end, cost in COSTS.items()
    ]
    return [plot for plot in drawn if plot]


def _draw_cost(
    rows: Sequence[Row],
    figure: str,
    name: str,
    value: Callable[[Row], float | None],
    path: Path,
) -> Plot | None:
    """Draw a figure of each row against one of its costs, with 95 % intervals over the seeds."""
    points = [
        Point(cost, row.pooled(figure), row.short_label, style(i))
        for i, row in enumerate(rows)
        if row.pooled(figure).n and (cost := value(row)) is not None
    ]
    if not points:
        return None
    (axes,) = make_axes(name, f"test {named(figure)} (%)")
    axes.set_xlim(*_limits([p.x for p in points], 0.2))
    axes.set_ylim(*_limits([end for p in points for end in p.reach], 0.12))
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    axes.figure.canvas.draw()
    points = _side_by_side(axes, points)
    for p in points:
        single = p.ap.n < 2
        color, marker = p.style
        axes.plot(p.x, p.ap.mean, marker, ms=7, color=color, mfc="white" if single else color)
        if not single:
            axes.plot([p.x, p.x], [p.ap.low, p.ap.high], color=color, lw=1.4, alpha=0.6)
    labels = [Label(p.x, p.ap.mean, p.label, p.style.color) for p in points]
    place_labels(axes, labels, [_bar(axes, p) for p in points])
    drawing = axes.figure
    assert isinstance(drawing, Figure)
    return save_plot(drawing, path, _cost_caption(begun(figure), name, points), bbox_inches="tight")


def _cost_caption(figure: str, name: str, points: Sequence[Point]) -> str:
    caption = f"{figure} against {name}. Bars: 95 % interval of the mean over seeds (Student's t)"
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
