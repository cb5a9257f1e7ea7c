"""Labels in a plot, each beside what it names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from yolov9_lit.reporting.plot import FONT, as_written, letters_that_no_font_has

Floats = NDArray[np.float64]

DISTANCES = (9, 16, 26, 40, 58, 80, 110, 150)
ANGLES = (0, 180, 40, -40, 140, -140, 90, -90)
STEPS = np.array(
    [(d * math.cos(a), d * math.sin(a)) for d in DISTANCES for a in map(math.radians, ANGLES)]
).round(6)
"""(P, 2) steps from a point to its label that are tried, in points of type, the best first."""

_LINE = 4.0  # Pixels along a line between the squares that stand for it.


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


def place_labels(axes: Axes, labels: Sequence[Label], obstacles: Sequence[Bbox]) -> None:
    """Put each label at the nearest free place around its point, with a leader to it.

    The lines that the axes have are kept free, too.

    Args:
        axes: with final limits, in a figure with an Agg canvas.
        labels: one for each point.
        obstacles: further boxes to keep free, in pixels.
    """
    scale = axes.figure.dpi / 72
    points = axes.transData.transform(np.reshape([label[:2] for label in labels], (-1, 2)))
    taken = np.vstack([*(box.extents for box in obstacles), _squares(points, 10), _lines(axes)])
    for label, point in sorted(zip(labels, points, strict=True), key=lambda pair: -pair[0].y):
        text = _annotate(axes, label, (0, 0), "offset points", ha="center")
        with letters_that_no_font_has():
            half = np.array(Text.get_window_extent(text).size) / 2
        centres = point + scale * STEPS + np.sign(STEPS) * (half[0], 0)
        boxes = np.hstack([centres - half, centres + half])
        leaders = point + scale * STEPS[:, None] * np.linspace(0.25, 0.95, 8)[:, None]
        frame = np.array(axes.bbox.extents)
        best = np.argmin(_count_hidden(boxes, leaders, taken, frame))
        text.set_position(tuple((centres[best] - point) / scale))
        taken = np.vstack([taken, boxes[best], _squares(leaders[best], 4)])


def spread_labels(axes: Axes, labels: Sequence[Label]) -> None:
    """Put labels in one column to the right of the axes, in the order of their heights.

    Args:
        axes: with final limits, in a figure with an Agg canvas.
        labels: of the ends of lines.
    """
    ordered = sorted(labels, key=lambda label: label.y)
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    wanted = np.array([(label.y - low) / (high - low) for label in ordered])
    for label, y in zip(ordered, spread(wanted, (FONT + 3) / height), strict=True):
        _annotate(axes, label, (1.03, float(y)), "axes fraction", leader={"relpos": (0, 0.5)})


def spread(wanted: Floats, gap: float) -> Floats:
    """Return the ascending positions (N,) that are at least `gap` apart and nearest to `wanted`."""
    steps = gap * np.arange(len(wanted))
    return isotonic_regression(wanted - steps).x + steps


def _annotate(
    axes: Axes, label: Label, place: tuple[float, float], coordinates: str, **style: Any
) -> Annotation:
    leader = {"arrowstyle": "-", "color": label.color, "lw": 0.6, "shrinkA": 1, "shrinkB": 3}
    return axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=place,
        textcoords=coordinates,
        fontsize=FONT,
        color=label.color,
        va="center",
        arrowprops=leader | style.pop("leader", {}),
        **as_written(label.text),
        **style,
    )


def _count_hidden(boxes: Floats, leaders: Floats, taken: Floats, frame: Floats) -> Floats:
    """Count for each place what its text, which is by far worse, or its leader would lie on.

    Args:
        boxes: (P, 4) xyxy of the text.
        leaders: (P, L, 2) points of the leader.
        taken: (N, 4) xyxy of what is there.
        frame: (4,) of the axes: a text may leave them only on their right.

    Returns:
        (P,)
    """
    low, high = taken[:, :2], taken[:, 2:]
    covered = ((boxes[:, None, 2:] > low) & (boxes[:, None, :2] < high)).all(axis=2).sum(axis=1)
    outside = (boxes[:, :2] < frame[:2]).any(axis=1) | (boxes[:, 3] > frame[3])
    points = leaders[:, :, None]
    crossed = ((points > low) & (points < high)).all(axis=3).sum(axis=(1, 2))
    return 100.0 * (covered + outside) + crossed


def _lines(axes: Axes) -> Floats:
    """Return squares (N, 4) along the drawn lines, xyxy in pixels."""
    found = [np.empty((0, 2))]
    for line in axes.get_lines():
        if line.get_linestyle() == "None":
            continue
        corners = line.get_transform().transform(line.get_xydata())
        for start, end in pairwise(corners[np.isfinite(corners).all(axis=1)]):
            steps = np.linspace(0, 1, 2 + int(np.hypot(*(end - start)) / _LINE))
            found.append(start + steps[:, None] * (end - start))
    return _squares(np.concatenate(found), _LINE)


def _squares(centres: Floats, side: float) -> Floats:
    return np.hstack([centres - side / 2, centres + side / 2])
