"""Direct labels in a plot: beside what they name, over nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

FONT = 8.5
DISTANCES = (9, 16, 26, 40, 58, 80, 110, 150)
"""How far a label may move away from its point, in points of type."""

ANGLES = (0, 180, 40, -40, 140, -140, 90, -90)
"""Directions that are tried, the best first, in degrees."""


class Label(NamedTuple):
    """A text for a point.

    Attributes:
        x: in data units.
        y: in data units.
        text: one line.
        color: of text and leader.
    """

    x: float
    y: float
    text: str
    color: str


class Place(NamedTuple):
    """Where a label may go.

    Attributes:
        offset: from its point, in points of type.
        side: which side of the text is there ("left": the text lies to the right of its point).
        box: what the text covers, in pixels.
        leader: small boxes along the line to its point, in pixels; empty where it is near.
    """

    offset: tuple[float, float]
    side: Literal["left", "center", "right"]
    box: Bbox
    leader: tuple[Bbox, ...]


def place_labels(axes: Axes, labels: Sequence[Label], obstacles: Sequence[Bbox]) -> None:
    """Put each label at the nearest free place around its point, with a leader where it is far.

    Args:
        axes: with final limits, in a figure with an Agg canvas.
        labels: one a point.
        obstacles: further boxes to be kept free, in pixels.
    """
    taken = [*obstacles, *(_around(axes, label) for label in labels)]
    frame = axes.get_window_extent()
    inside = Bbox.from_extents(frame.x0, frame.y0, frame.x1 + frame.width / 5, frame.y1)
    for label in sorted(labels, key=lambda label: -label.y):
        place = min(_places(axes, label), key=lambda place: _badness(place, taken, inside))
        taken += [place.box, *place.leader]
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=place.offset,
            textcoords="offset points",
            fontsize=FONT,
            color=label.color,
            ha=place.side,
            va="center",
            arrowprops=_leader_style(label, place.side) if place.leader else None,
        )


def spread_labels(axes: Axes, labels: Sequence[Label]) -> None:
    """Put labels in one column right of the axes, in the order of their heights, none over another.

    Args:
        axes: with final limits, in a figure with an Agg canvas.
        labels: of the ends of lines.
    """
    ordered = sorted(labels, key=lambda label: label.y)
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    gap = (FONT + 3) / height
    wanted = np.array([(label.y - low) / (high - low) for label in ordered])
    for label, y in zip(ordered, spread(wanted, gap), strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(1.03, float(y)),
            textcoords="axes fraction",
            fontsize=FONT,
            color=label.color,
            va="center",
            arrowprops=_leader_style(label, "left"),
        )


def spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Move ascending positions (N,) apart to at least a gap, their middle kept where it was.

    Neighbours that are too close form a group around the mean of its wishes; groups that then touch
    are joined.
    """
    groups: list[tuple[float, int]] = []  # centre and size
    for position in wanted:
        centre, size = float(position), 1
        while groups and groups[-1][0] + (groups[-1][1] + size) * gap / 2 > centre:
            other, count = groups.pop()
            centre = (centre * size + other * count) / (size + count)
            size += count
        groups.append((centre, size))
    return np.array(
        [centre + (i - (size - 1) / 2) * gap for centre, size in groups for i in range(size)]
    )


def _places(axes: Axes, label: Label) -> Iterator[Place]:
    """Where a label may go, the nearest first."""
    scale = axes.figure.dpi / 72
    x, y = axes.transData.transform((label.x, label.y))
    width, height = _text_size(axes, label.text)
    for distance in DISTANCES:
        for angle in map(math.radians, ANGLES):
            dx, dy = distance * math.cos(angle), distance * math.sin(angle)
            side: Literal["left", "center", "right"]
            side = "center" if abs(dx) < 1e-6 else "left" if dx > 0 else "right"
            left = x + dx * scale - {"left": 0.0, "center": width / 2, "right": width}[side]
            box = Bbox.from_bounds(left, y + dy * scale - height / 2, width, height)
            steps = np.linspace(0.25, 0.95, 8 if distance > DISTANCES[1] else 0)
            leader = tuple(
                Bbox.from_bounds(x + t * dx * scale - 2, y + t * dy * scale - 2, 4, 4)
                for t in steps
            )
            yield Place((dx, dy), side, box, leader)


def _text_size(axes: Axes, text: str) -> tuple[float, float]:
    """Width and height in pixels."""
    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    probe = axes.text(0, 0, text, fontsize=FONT)
    box = probe.get_window_extent(canvas.get_renderer())
    probe.remove()
    return box.width, box.height


def _badness(place: Place, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Area of text and leader that lies over something, and of text that lies outside.

    Outside: beyond the axes, with some margin on their right.
    """
    outside = place.box.width * place.box.height - _shared(place.box, inside)
    parts = (place.box, *place.leader)
    return outside + sum(_shared(part, other) for part in parts for other in taken)


def _shared(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return common.width * common.height if common else 0.0


def _around(axes: Axes, label: Label) -> Bbox:
    x, y = axes.transData.transform((label.x, label.y))
    return Bbox.from_bounds(x - 5, y - 5, 10, 10)


def _leader_style(label: Label, side: str) -> dict[str, Any]:
    start = {"left": 0.0, "center": 0.5, "right": 1.0}[side]
    style = {"arrowstyle": "-", "color": label.color, "lw": 0.6, "shrinkA": 1, "shrinkB": 3}
    return {**style, "relpos": (start, 0.5)}
